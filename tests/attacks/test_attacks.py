"""What every attack promises, for every threat model."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustsuite import L0, L2, Linf, attacks, seeding
from robustsuite.attacks import (
    PGD,
    Access,
    Attack,
    AttackResult,
    Misclassification,
    Targeted,
    Transfer,
    losses,
    step_rules,
)
from robustsuite.attacks.keepers import FirstSuccess, Nearest
from robustsuite.attacks.models import NotANumber
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation

from .cases import ATTACKS, Case, examples, trained

cases = pytest.mark.parametrize("case", ATTACKS, ids=str)
pairs = [(case, threat) for case in ATTACKS for threat in case.threats]
threats = pytest.mark.parametrize(
    ("case", "perturbation"),
    pairs,
    ids=[f"{case}, {p.describe()}{case.threats.index(p)}" for case, p in pairs],
)
by_gradients = pytest.mark.parametrize(
    "case", [case for case in ATTACKS if case.access == Access.GRADIENTS], ids=str
)
with_a_loss = pytest.mark.parametrize(
    "case", [case for case in ATTACKS if hasattr(case.attack, "loss")], ids=str
)
with_a_budget = pytest.mark.parametrize(
    "case", [case for case in ATTACKS if hasattr(case.attack, "max_queries")], ids=str
)
for_the_nearest = pytest.mark.parametrize("case", [case for case in ATTACKS if case.kind is Nearest], ids=str)
within_a_radius = pytest.mark.parametrize(
    "case", [case for case in ATTACKS if case.kind is FirstSuccess], ids=str
)


class Counting(nn.Module):
    """Counts the rows that a model is run on, and those that are differentiated."""

    def __init__(self, model: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.seen, self.differentiated = model, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        self.differentiated += len(x) if x.requires_grad else 0
        y: Tensor = self.model(x)
        return y


def _run_again(case: Case, perturbation: Perturbation, seed: int = 0, count: int = 24) -> AttackResult:
    x, y = examples(count)
    return case.attack(trained(), x, y, perturbation, generator=torch.Generator().manual_seed(seed))


@functools.cache
def _run(case: Case, perturbation: Perturbation, count: int = 24) -> AttackResult:
    """Run an attack once for all tests, which leave the result as it is."""
    return _run_again(case, perturbation, count=count)


def test_every_attack_has_a_case() -> None:
    public = {
        name
        for name in attacks.__all__
        if is_dataclass(getattr(attacks, name)) and issubclass(getattr(attacks, name), Attack)
    }
    assert public == {type(case.attack).__name__ for case in ATTACKS}


@threats
def test_stays_in_the_region(case: Case, perturbation: Perturbation) -> None:
    x, _ = examples()
    result = _run(case, perturbation)
    region = perturbation.around(x)
    assert result.adversarial.shape == x.shape
    assert result.adversarial.dtype == x.dtype
    assert bool(region.contains(result.adversarial, tolerance=1e-6).all())
    assert bool((result.adversarial >= region.lower).all() & (result.adversarial <= region.upper).all())
    torch.testing.assert_close(result.distance, region.distance(result.adversarial))
    if isinstance(perturbation, Linf | L2) and isinstance(perturbation.eps, float):
        assert float(result.distance.max()) <= perturbation.eps * (1 + 1e-5)


@threats
def test_success_is_what_the_model_says(case: Case, perturbation: Perturbation) -> None:
    """Running the model again confirms each success and each failure."""
    _, y = examples()
    result = _run(case, perturbation)
    with torch.no_grad():
        wrong = trained()(result.adversarial).argmax(1) != y
    assert torch.equal(wrong, result.success)
    assert bool(result.success.any())


@threats
def test_never_worse_than_the_start(case: Case, perturbation: Perturbation) -> None:
    """By the criterion's score, whatever loss the attack raises."""
    x, y = examples()
    result = _run(case, perturbation)
    clean = perturbation.around(x).center
    with torch.no_grad():
        before, after = losses.margin(trained()(clean), y), losses.margin(trained()(result.adversarial), y)
    assert bool((after[~result.success] >= before[~result.success] - 1e-6).all())


@cases
def test_wrong_from_the_start_costs_one_query(case: Case) -> None:
    x, y = examples()
    result = case.attack(trained(), x, (y + 1) % 10, case.near)
    assert bool(result.success.all())
    assert torch.equal(result.adversarial, x)
    assert result.queries.tolist() == [1] * len(x)
    assert float(result.distance.max()) == 0.0


@threats
def test_queries_are_counted_and_kept(case: Case, perturbation: Perturbation) -> None:
    x, y = examples()
    model = Counting(trained())
    result = case.attack(model, x, y, perturbation, generator=torch.Generator().manual_seed(0))
    assert int(result.queries.sum()) == model.seen
    assert int(result.gradients.sum()) == model.differentiated
    assert int(result.queries.max()) <= case.queries[-1]
    # Who falls early stops early: nobody pays for the rest of the batch.
    assert set(result.queries[~result.success].tolist()) <= set(case.queries)


@cases
def test_early_finish_saves_queries(case: Case) -> None:
    """A large radius breaks everything soon; the budget is spent on a tiny one alone."""
    most = case.queries[-1]
    if most > 2:  # one step cannot finish early
        assert int(_run(case, case.near.scaled(2.5)).queries.sum()) < 0.7 * 24 * most
    assert set(_run(case, case.near.scaled(1e-6)).queries.tolist()) <= set(case.queries)


@threats
def test_same_seed_same_result(case: Case, perturbation: Perturbation) -> None:
    first, second, other = (
        _run(case, perturbation),
        _run_again(case, perturbation),
        _run_again(case, perturbation, 1),
    )
    assert torch.equal(first.adversarial, second.adversarial)
    assert torch.equal(first.queries, second.queries)
    assert torch.equal(first.adversarial, other.adversarial) != case.random


@threats
def test_examples_do_not_depend_on_the_batch(case: Case, perturbation: Perturbation) -> None:
    """The first examples fare as they do in a smaller batch, and beside easy ones as beside hard ones."""
    x, y = examples()
    whole, part = _run(case, perturbation), _run(case, perturbation, count=10)
    torch.testing.assert_close(part.adversarial, whole.adversarial[:10], rtol=1e-4, atol=1e-4)
    assert torch.equal(part.success, whole.success[:10])
    easy = torch.cat([y[:10], (y[10:] + 1) % 10])
    beside = case.attack(trained(), x, easy, perturbation, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(beside.adversarial[:10], part.adversarial, rtol=1e-4, atol=1e-4)


@cases
def test_leaves_everything_as_it_was(case: Case) -> None:
    """Input, labels, parameters, buffers, gradients, modes, random state."""
    x, y = examples()
    model = copy.deepcopy(trained())
    next(iter(model.children())).train()  # modes need not be the same everywhere
    buffers = [b.clone() for b in model.buffers()]
    next(iter(model.parameters())).requires_grad_(False)
    wanted = [p.requires_grad for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    clean, labels = x.clone(), y.clone()
    parameters = [p.detach().clone() for p in model.parameters()]
    modes, state = [part.training for part in model.modules()], torch.get_rng_state()
    case.attack(model, x, y, case.near, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, clean)
    assert torch.equal(y, labels)
    assert not x.requires_grad
    assert all(torch.equal(b, c) for b, c in zip(model.buffers(), buffers, strict=True))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), parameters, strict=True))
    assert all(bool((p.grad == 1).all()) for p in model.parameters() if p.grad is not None)
    assert [p.requires_grad for p in model.parameters()] == wanted
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)


@cases
def test_batch_norm_in_training_mode_learns_nothing_from_attacks(case: Case) -> None:
    x, y = examples()
    model = copy.deepcopy(trained()).train()
    buffers = [b.clone() for b in model.buffers()]
    found = case.attack(model, x, y, case.near, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(b, c) for b, c in zip(model.buffers(), buffers, strict=True))
    assert all(part.training for part in model.modules())
    assert torch.equal(found.adversarial, _run(case, case.near).adversarial)


@cases
def test_strength(case: Case) -> None:
    """A net that is right on all of these must fall on many: an attack that does nothing fails here."""
    result = _run(case, case.near, count=100)
    assert float(result.success.double().mean()) >= case.strength


def test_strength_with_few_features() -> None:
    """Against a greedy search that tries both ends of every feature, one feature after the other."""
    x, y = examples(60)
    adversarial = x.clone()
    broken = torch.zeros(60, dtype=torch.bool)
    for _ in range(2):
        tries = torch.stack(
            [adversarial.index_fill(1, torch.tensor([i]), end) for i in range(64) for end in (0.0, 1.0)]
        )
        with torch.no_grad():
            margins = torch.stack([losses.margin(trained()(t), y) for t in tries])
        adversarial = tries[margins.argmax(0), torch.arange(60)]
        broken |= margins.amax(0) > 0
    attack = PGD(steps=20, restarts=3)
    found = attack(trained(), x, y, L0(2, 0, 1), generator=torch.Generator().manual_seed(0))
    assert int(broken.sum()) >= 40
    assert int(found.success.sum()) >= 0.85 * int(broken.sum())


@cases
def test_no_room_no_success(case: Case) -> None:
    result = _run(case, case.near.scaled(0.0))
    assert not bool(result.success.any())
    assert float(result.distance.max()) == 0.0


@cases
def test_targeted(case: Case) -> None:
    """The wanted class is reached, and nothing else counts as success."""
    x, y = examples()
    goal = (y + 1) % 10
    result = case.attack(
        trained(), x, Targeted(goal), case.near.scaled(2), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        predicted = trained()(result.adversarial).argmax(1)
    assert torch.equal(predicted == goal, result.success)
    assert float(result.success.double().mean()) >= case.targeted_strength


@with_a_loss
def test_any_loss(case: Case) -> None:
    """A loss is any function of outputs and labels; one that rewards the label finds nothing."""

    def confusion(outputs: Tensor, y: Tensor) -> Tensor:
        return -outputs.log_softmax(1).gather(1, y.unsqueeze(1)).squeeze(1).exp()

    def praise(outputs: Tensor, y: Tensor) -> Tensor:
        return -losses.margin(outputs, y)

    x, y = examples()
    for loss, least, most in ((confusion, 0.3, 1.0), (praise, 0.0, 0.3)):
        attack = replace(case.attack, loss=loss)  # type: ignore[type-var]
        result = attack(trained(), x, y, case.near, generator=torch.Generator().manual_seed(0))
        assert least <= float(result.success.double().mean()) <= most


def test_more_effort_is_not_weaker() -> None:
    x, y = examples(100)
    found = [
        int(
            PGD(steps=steps, restarts=restarts)(
                trained(), x, y, Linf(0.08), generator=torch.Generator().manual_seed(0)
            ).success.sum()
        )
        for steps, restarts in ((2, 1), (20, 1), (20, 3))
    ]
    assert found == sorted(found)
    larger = PGD()(trained(), x, y, Linf(0.16), generator=torch.Generator().manual_seed(0)).success.sum()
    assert int(larger) > found[1]


def test_functions_are_models_too() -> None:
    weight = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    x, _ = examples()

    def model(x: Tensor) -> Tensor:
        return x @ weight

    result = PGD(steps=5)(model, x, model(x).argmax(1), Linf(0.5))
    assert bool(result.success.any())


def _linear() -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor, Tensor, Tensor]:
    """Give a linear model of two classes, inputs, labels, the row that separates them, and its values."""
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(6, 2, generator=generator), torch.rand(50, 6, generator=generator)
    bias = (weight.sum(0) / 2).flip(0)

    def model(x: Tensor) -> Tensor:
        return x @ weight + bias

    y = model(x).argmax(1)
    other = weight[:, 1 - y].t() - weight[:, y].t()
    return model, x, y, other, (other * x).sum(1) + bias[1 - y] - bias[y]


@within_a_radius
def test_optimal_on_a_linear_model(case: Case) -> None:
    """There the worst point of the box is known."""
    model, x, y, other, value = _linear()
    worst = value + 0.2 * other.abs().sum(1)
    if case.classes <= 2:
        attack = (
            case.attack
            if not isinstance(case.attack, Transfer)
            else replace(case.attack, surrogates=(model,))
        )
        found = attack(model, x, y, Linf(0.2), generator=torch.Generator().manual_seed(0))
        assert bool((found.success <= (worst > 0)).all())
        if case.optimal:
            assert torch.equal(found.success, worst > 0)


@for_the_nearest
def test_nearest_on_a_linear_model(case: Case) -> None:
    """There the nearest success is a step along the row, where the range of valid values leaves room."""
    model, x, y, other, value = _linear()
    found = case.attack(model, x, y, L2(math.inf, clip=(-9, 9)), generator=torch.Generator().manual_seed(0))
    distance = -value / other.norm(dim=1)
    assert bool(found.success.all())
    assert bool((found.distance >= distance * (1 - 1e-5)).all())
    assert bool((found.distance <= distance * (1 + case.precision) + 1e-4).all())


def test_results_that_are_no_numbers_are_adversarial() -> None:
    met = Misclassification(torch.tensor([0, 0])).met(torch.tensor([[torch.nan, 0.0], [1.0, 0.0]]))
    assert met.tolist() == [True, False]


def test_losses_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 2.5]])
    y = torch.tensor([0, 1])
    assert losses.margin(logits, y).tolist() == [-2.0, 0.5]
    torch.testing.assert_close(
        losses.difference_of_logits_ratio(logits, y), torch.tensor([-2.0 / 3.0, 0.5 / 2.5])
    )
    torch.testing.assert_close(losses.cross_entropy(logits, y), -logits.log_softmax(1)[[0, 1], y])


def test_step_rules() -> None:
    assert step_rules.constant(0.7) == 1.0
    for rule in (step_rules.linear, step_rules.cosine):
        values = [rule(i / 10) for i in range(11)]
        assert values[0] == 1.0
        assert values[-1] == pytest.approx(0.0)
        assert values == sorted(values, reverse=True)


@pytest.mark.usefixtures("as_users_run_it")
@cases
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(24, 10), r"labels\.argmax\(1\)"),
        (torch.zeros(5, dtype=torch.long), r"expected \(batch,\) = \(24,\) class indices"),
        (torch.zeros(24), "class indices"),
        (torch.zeros(24, dtype=torch.int32), r"torch.int32; .* pass labels\.long\(\)"),
        (torch.full((24,), 10), r"labels lie in \[10, 10\]; expected \[0, 9\]"),
        (torch.full((24,), -100), r"expected \[0, 9\]"),
        (torch.zeros(24, dtype=torch.long, device="meta"), "labels are on meta"),
    ],
    ids=["one-hot", "too few", "floats", "int32", "too large", "ignored by cross entropy", "no values"],
)
def test_wrong_labels(case: Case, labels: Tensor, message: str) -> None:
    x, _ = examples()
    with pytest.raises(InvalidInput, match=message):
        case.attack(trained(), x, labels, case.near)


def test_wrong_options() -> None:
    for options in ({"steps": 0}, {"restarts": 0}):
        with pytest.raises(InvalidInput, match="is 0; expected an integer >= 1"):
            PGD(**options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="step_size is 0.0; expected a number > 0, or None"):
        PGD(step_size=0.0)
    with pytest.raises(InvalidInput, match="use restarts=1 or random_start=True"):
        PGD(restarts=2, random_start=False)
    with pytest.raises(InvalidInput, match="target labels have shape"):
        Targeted(torch.zeros(3, 2))


class _Bare(nn.Module):
    """A model that calls a function."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Any:
        return self._function(x)


_WEIGHTS = torch.eye(64)[:, :10]


@pytest.mark.usefixtures("as_users_run_it")
@cases
@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        (
            _Bare(lambda x: (x @ _WEIGHTS, x)),
            {},
            "the model gives a tuple of 2; expected a tensor .batch, classes.",
        ),
        (_Bare(lambda x: x.sum(1)), {}, r"the model gives a Tensor of shape \(24,\)"),
        (_Bare(lambda x: x @ _WEIGHTS * torch.nan), {}, "NaN on the clean x, first in example 0"),
        ("resnet", {}, "model is 'resnet'; expected a module"),
        (nn.Linear(64, 10), {"perturbation": 0.1}, "perturbation is 0.1; expected a threat model"),
        (
            nn.Linear(64, 10),
            {"perturbation": Linf(0.1).around(torch.zeros(24, 64))},
            "perturbation is a BoxRegion; expected a threat model",
        ),
        (
            nn.Linear(64, 10),
            {"x": torch.zeros(24, 64).double()},
            "float64 on cpu, its parameters are torch.float32",
        ),
        (nn.Linear(64, 10, device="meta"), {}, "its parameters are torch.float32 on meta"),
        (nn.Linear(65, 10), {}, "does not take x of shape"),
        (nn.Linear(64, 10), {"x": np.zeros((24, 64))}, "x is a ndarray"),
    ],
    ids=range(10),
)
def test_models_that_cannot_be_attacked(case: Case, model: Any, change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"x": torch.zeros(24, 64), "perturbation": case.near, **change}
    with pytest.raises(InvalidInput, match=message) as caught:
        case.attack(model, given["x"], torch.zeros(24, dtype=torch.long), given["perturbation"])
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("as_users_run_it")
@by_gradients
@pytest.mark.parametrize(
    "model",
    [lambda x: (x @ _WEIGHTS).detach(), lambda x: _WEIGHTS[: len(x)].clone().requires_grad_()],
    ids=["detached", "constant"],
)
def test_a_model_without_gradients_is_for_attacks_by_scores(case: Case, model: Any) -> None:
    with pytest.raises(InvalidInput, match="no gradient by its input; .* take .*RandomSearch") as caught:
        case.attack(model, torch.zeros(24, 64), torch.zeros(24, dtype=torch.long), case.near)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", [case for case in ATTACKS if case.access == Access.DECISIONS], ids=str)
def test_no_class_on_a_clean_input_is_a_finding_and_no_success(case: Case) -> None:
    """A model that hides its scores gives -1 where they are NaN."""
    x, y = examples()

    def model(x: Tensor) -> Tensor:
        outputs: Tensor = trained()(x)
        return outputs.masked_fill((torch.arange(len(x)) == 5).unsqueeze(1), torch.nan)

    for hidden in (
        attacks.labels_only(model),
        lambda x: model(x).argmax(1).index_fill(0, torch.tensor(5), -1),
    ):
        with pytest.raises(
            NotANumber, match="gives no class .* on the clean x, first in example 5"
        ) as caught:
            case.attack(hidden, x, y, case.near)
        assert "\n" not in str(caught.value)


@cases
def test_who_asks_for_less_attacks_more(case: Case) -> None:
    """Models that hide gradients, and models that hide scores."""
    assert case.attack.access == case.access
    assert type(case.attack.keeper) is case.kind
    x, y = examples()

    def scores(x: Tensor) -> Tensor:
        outputs: Tensor = trained()(x).detach()
        return outputs

    hidden = ((Access.SCORES, scores), (Access.DECISIONS, attacks.labels_only(trained())))
    for access, model in hidden:
        if case.access > access:
            with pytest.raises(InvalidInput, match="take .*Boundary"):
                case.attack(model, x, y, case.near)
        else:
            found = case.attack(model, x, y, case.near, generator=torch.Generator().manual_seed(0))
            assert torch.equal(found.success, _run(case, case.near).success)


@threats
def test_traces_tell_how_it_went(case: Case, perturbation: Perturbation) -> None:
    """Nearer and nearer, at the cost of more and more queries, up to the result."""
    result = _run(case, perturbation)
    last = torch.full_like(result.distance, torch.inf)
    spent = torch.zeros_like(result.queries)
    trace = result.trace
    for example, queries, distance in zip(trace.example, trace.queries, trace.distance, strict=True):
        assert queries > spent[example]
        assert distance < last[example]
        last[example], spent[example] = distance, queries
    assert torch.equal(last.isfinite(), result.success)
    torch.testing.assert_close(last[result.success], result.distance[result.success])
    assert bool((spent <= result.queries).all())


@with_a_budget
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 20])
def test_budgets_are_hard(case: Case, budget: int) -> None:
    x, y = examples()
    model = Counting(trained())
    attack = replace(case.attack, max_queries=budget)  # type: ignore[type-var]
    found = attack(model, x, y, case.near.scaled(0.1), generator=torch.Generator().manual_seed(0))
    assert int(found.queries.max()) <= budget
    assert int(found.queries.sum()) == model.seen


@within_a_radius
def test_an_endless_radius_is_for_the_nearest(case: Case) -> None:
    x, y = examples()
    with pytest.raises(InvalidInput, match=r"searches within a radius.*take Boundary or DDN"):
        case.attack(trained(), x, y, Linf(math.inf, clip=(0, 1)))


@for_the_nearest
def test_other_norms_are_refused(case: Case) -> None:
    x, y = examples()
    for perturbation in (Linf(0.1), L0(3, 0, 1)):
        with pytest.raises(InvalidInput, match="looks for the nearest success in L2"):
            case.attack(trained(), x, y, perturbation)


@for_the_nearest
def test_an_endless_radius_breaks_what_finite_ones_break(case: Case) -> None:
    """And as near: a finite radius ends an example at its first success inside."""
    ball = case.near
    assert isinstance(ball, L2)
    finite, endless = _run(case, ball), _run(case, replace(ball, eps=math.inf))
    assert bool(endless.success.all())
    assert bool((endless.distance[finite.success] <= finite.distance[finite.success] + 1e-6).all())
    assert bool((finite.queries <= endless.queries).all())
    region = ball.around(examples()[0])
    assert torch.equal(finite.success, region.contains(endless.adversarial))


@cases
def test_an_examples_random_numbers_are_its_own(case: Case) -> None:
    """In another order, beside others: the seeds go with the examples."""
    x, y = examples()
    seeds = seeding.numbered_seeds(0, "attack", numbers=torch.arange(24)).seeds
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:15]
    whole = case.attack(trained(), x, y, case.near, generator=seeding.ExampleSeeds(seeds))
    part = case.attack(trained(), x[order], y[order], case.near, generator=seeding.ExampleSeeds(seeds[order]))
    assert torch.equal(part.success, whole.success[order])
    torch.testing.assert_close(part.adversarial, whole.adversarial[order], rtol=1e-4, atol=1e-4)


@cases
def test_a_gradient_of_nan_moves_nothing_out_of_the_region(case: Case) -> None:
    """The root's derivative is infinite at 0, and NaN where a dead branch multiplies it."""
    x, y = torch.zeros(24, 64), torch.zeros(24, dtype=torch.long)
    x[:, 0] = 1.0
    model = _Bare(lambda x: torch.where(x > 0, x.abs().sqrt(), 0.0) @ _WEIGHTS)
    found = case.attack(model, x, y, case.near, generator=torch.Generator().manual_seed(0))
    assert bool(case.near.around(x).contains(found.adversarial).all())
    assert bool(found.adversarial.isfinite().all())


def _without_gradient(x: Tensor) -> Tensor:
    """The trained net, whose gradient is NaN wherever it is asked for: the root's at 0, times 0."""
    outputs: Tensor = trained()(x) + (0 * x).sqrt().sum(1, keepdim=True)
    return outputs


@by_gradients
def test_a_gradient_of_nan_is_no_dead_end(case: Case) -> None:
    """An attack goes on at random, by the example's own seed: it finds no less than random points do."""
    x, y = examples()
    wide = case.near.scaled(3)
    seeds = seeding.numbered_seeds(0, "attack", numbers=torch.arange(24)).seeds
    found, part = (
        case.attack(_without_gradient, x[:n], y[:n], wide, generator=seeding.ExampleSeeds(seeds[:n]))
        for n in (24, 10)
    )
    points = [wide.around(x).sample(generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    with torch.no_grad():
        shares = [float((trained()(tries).argmax(1) != y).double().mean()) for tries in points]
    assert float(found.success.double().mean()) >= min(shares) > 0
    assert torch.equal(part.adversarial, found.adversarial[:10])
    assert bool(wide.around(x).contains(found.adversarial).all())


def test_pgd_finds_with_a_gradient_of_nan_what_uniform_points_find() -> None:
    x, y = examples(100)
    threat = Linf(0.3, clip=(0, 1))
    noise = torch.Generator().manual_seed(0)
    found = PGD(steps=20)(_without_gradient, x, y, threat, generator=noise)
    with torch.no_grad():
        tries = torch.stack(
            [trained()(threat.around(x).sample(generator=noise)).argmax(1) != y for _ in range(21)]
        )
    assert int(found.success.sum()) >= 0.9 * int(tries.any(0).sum()) > 20


def test_the_ratio_of_differences_asks_for_three_classes() -> None:
    attack = PGD(loss=losses.difference_of_logits_ratio)
    with pytest.raises(InvalidInput, match="got 2 classes; expected three or more"):
        attack(nn.Linear(3, 2), torch.zeros(1, 3), torch.zeros(1, dtype=torch.long), Linf(0.1))


@cases
def test_bad_inputs(case: Case) -> None:
    x, y = examples()
    with pytest.raises(InvalidInput, match="NaN"):
        case.attack(trained(), torch.full_like(x, torch.nan), y, case.near)
    with pytest.raises(InvalidInput, match="outside clip"):
        case.attack(trained(), x + 5, y, case.near)


@cases
def test_a_model_may_change_its_input_in_place(case: Case) -> None:
    """It changes a copy: neither the caller's examples nor what is kept of the tries."""

    def shifting(x: Tensor) -> Tensor:
        x += 1.0
        outputs: Tensor = trained()(x - 1.0)
        return outputs

    def careful(x: Tensor) -> Tensor:
        outputs: Tensor = trained()((x + 1.0) - 1.0)
        return outputs

    x, y = examples()
    clean = x.clone()
    found, expected = (
        case.attack(model, x, y, case.near, generator=torch.Generator().manual_seed(0))
        for model in (shifting, careful)
    )
    assert torch.equal(x, clean)
    assert torch.equal(found.adversarial, expected.adversarial)
    assert torch.equal(found.success, expected.success)


@cases
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_the_inputs_type_is_kept_whatever_the_default(case: Case, dtype: torch.dtype) -> None:
    weights = _WEIGHTS.to(dtype)

    def model(x: Tensor) -> Tensor:
        assert x.dtype == dtype
        return x @ weights

    x = examples()[0].to(dtype)
    y = model(x).argmax(1)
    found, again = [], torch.get_default_dtype()
    for default in (torch.float32, torch.float64):
        torch.set_default_dtype(default)
        try:
            found.append(
                case.attack(_Bare(model), x, y, case.near, generator=torch.Generator().manual_seed(0))
            )
        finally:
            torch.set_default_dtype(again)
    assert found[0].adversarial.dtype == dtype
    assert found[0].distance.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(found[0].adversarial, found[1].adversarial)


@threats
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_short_floats_stay_inside_the_nominal_region(
    case: Case, perturbation: Perturbation, dtype: torch.dtype
) -> None:
    """By the result as it is given: measured in double precision, and run through the model once more."""
    weights = _WEIGHTS.to(dtype)
    x = examples()[0].to(dtype)
    y = (x @ weights).argmax(1)
    found = case.attack(lambda x: x @ weights, x, y, perturbation, generator=torch.Generator().manual_seed(0))
    exact = perturbation.around(x.double())
    assert found.adversarial.dtype == dtype
    assert bool(exact.contains(found.adversarial.double(), tolerance=1e-6).all())
    if isinstance(perturbation, Linf | L2):  # of boxes and ranges the centre is rounded too
        torch.testing.assert_close(found.distance, exact.distance(found.adversarial.double()).float())
    assert torch.equal((found.adversarial @ weights).argmax(1) != y, found.success)


@with_a_budget
def test_a_try_of_nan_is_the_worst_and_ends_nothing(case: Case) -> None:
    """Half of the region gives NaN; the wanted class is found in the other half."""
    x, y = examples()

    def model(x: Tensor) -> Tensor:
        broken = (x[:, :1] > 0.25).expand(-1, 10)
        outputs: Tensor = trained()(x)
        return outputs.masked_fill(broken, torch.nan)

    x[:, 0], goal = 0.1, (y + 1) % 10
    found = []
    for asked in (trained(), model):
        region = case.near.scaled(3)
        found.append(
            case.attack(asked, x, Targeted(goal), region, generator=torch.Generator().manual_seed(0))
        )
    assert int(found[1].success.sum()) >= 0.5 * int(found[0].success.sum())
