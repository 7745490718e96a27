"""Objectives: the limit at radius 0, worse than clean if they say so, parts as one batch, resumed to the bit, learnt."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from robustsuite import Linf, attacks, bounds, training
from robustsuite.errors import InvalidInput
from robustsuite.runs import serialization
from robustsuite.runs.run import Run
from robustsuite.training import (
    SGD,
    Adam,
    Batch,
    Descent,
    Loss,
    Objective,
    Progress,
    TensorData,
    Training,
    fit,
    objectives,
)
from tests.training.cases import (
    OBJECTIVES,
    resumes_to_the_bit,
    toy_batch,
    toy_model,
    toy_points,
)

names = pytest.mark.parametrize("name", OBJECTIVES)
FAR = Linf(0.4)
IDLE = 30
"""Features that say nothing: plain training keeps what weights they began with, and an attack uses them."""


def _loss(objective: Objective, model: nn.Module, batch: Batch) -> Loss:
    progress = Progress(step=50, steps=100, steps_per_epoch=5)
    return objective(model, batch, progress, objective.state(model, 240))


def _robust(model: nn.Module) -> float:
    x, y = toy_points(idle=IDLE)
    found = attacks.PGD(steps=20)(model, x, y, FAR, generator=torch.Generator().manual_seed(0))
    return 1 - float(found.success.float().mean())


@pytest.fixture
def plain() -> nn.Module:
    """Give the model of plain training."""
    return _learnt("Standard")


@functools.cache
def _learnt(name: str) -> nn.Module:
    """Train with an objective once for all tests, which leave the model as it is."""
    return fit(
        toy_model(idle=IDLE),
        Descent(OBJECTIVES[name].objective, optimizer=Adam(rate=0.02)),
        TensorData(*toy_points(idle=IDLE)),
        training=Training(epochs=25, batch_size=60),
        run=Run.scratch(),
        seed=0,
    )


def test_every_public_objective_has_a_case() -> None:
    public = set(objectives.__all__)
    assert public == {type(case.objective).__name__ for case in OBJECTIVES.values()}


@names
def test_radius_0_is_the_plain_loss(name: str) -> None:
    case, batch, model = OBJECTIVES[name], toy_batch(30), toy_model()
    loss = _loss(case.at_zero, model, batch).total
    torch.testing.assert_close(loss, case.plain(model(batch.x), batch.y))


@names
def test_a_loss_of_the_worst_case_is_above_the_clean_one(name: str, plain: nn.Module) -> None:
    """At one model and batch: an adversary that does nothing, or helps, or counts with the wrong sign, shows here."""
    case, batch = OBJECTIVES[name], toy_batch(idle=IDLE)
    clean, worst = (
        float(_loss(objective, plain, batch).total.detach()) for objective in (case.at_zero, case.objective)
    )
    if case.worst_case:
        assert worst > clean + 0.05
    else:
        assert worst == clean


@names
def test_the_loss_is_a_finite_scalar_with_finite_gradients_for_every_parameter(name: str) -> None:
    model = toy_model()
    loss = _loss(OBJECTIVES[name].objective, model, toy_batch(30))
    assert loss.total.shape == ()
    assert all(bool(torch.isfinite(term)) for term in (loss.total, *loss.terms.values()))
    loss.total.backward()
    for p in model.parameters():
        assert p.grad is not None
        assert bool(torch.isfinite(p.grad).all())
        assert bool(p.grad.ne(0).any())


@names
@pytest.mark.parametrize("parts", [2, 7])
def test_parts_of_a_batch_are_the_whole_batch(name: str, parts: int) -> None:
    """What accumulation and data-parallel training rely on: also with random starts and state, in unequal parts."""
    x, y = toy_points()
    found = []
    for accumulate in (1, parts):
        model = toy_model().double()
        descent = SGD(rate=0.1, momentum=0.0)
        update = Descent(OBJECTIVES[name].objective, optimizer=descent, accumulate=accumulate)
        data, setup = TensorData(x.double(), y), Training(epochs=4, batch_size=120)
        fit(model, update, data, training=setup, run=Run.scratch(), seed=0)
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-7, atol=1e-9)


@names
def test_killed_and_resumed_it_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    case = OBJECTIVES[name]
    saved = resumes_to_the_bit(Descent(case.objective, optimizer=Adam(rate=0.02)), tmp_path)
    assert bool(saved.part("states").tensors) == case.stateful


@names
def test_random_numbers_are_those_of_the_seed(name: str) -> None:
    case = OBJECTIVES[name]
    batch, model = toy_batch(), toy_model()

    def total(seed: int) -> float:
        progress = Progress(step=50, steps=100, steps_per_epoch=5, seed=seed)
        return float(case.objective(model, batch, progress, case.objective.state(model, 240)).total.detach())

    assert total(0) == total(0)
    assert (total(0) != total(1)) == case.random


@names
def test_the_toy_problem_is_learnt_and_what_plain_training_loses_is_held(name: str, plain: nn.Module) -> None:
    model = _learnt(name)
    x, y = toy_points(idle=IDLE)
    with torch.no_grad():
        assert float((model(x).argmax(1) == y).float().mean()) > 0.97
    if OBJECTIVES[name].worst_case:
        assert _robust(model) > _robust(plain) + 0.2


def test_certified_training_certifies_what_standard_training_does_not() -> None:
    x, y = toy_points(idle=IDLE)
    shares = [
        float(bounds.certified(bounds.trace(model, x), FAR.around(x), y, method=bounds.ibp).float().mean())
        for model in map(_learnt, ("Standard", "Certified"))
    ]
    assert shares[1] > max(0.9, shares[0] + 0.1)


def test_a_clean_loss_of_no_weight_costs_no_gradient_and_still_trains() -> None:
    none, whole = training.Constant(0.0), training.Constant(1.0)
    for ramp, robust in ((none, False), (whole, True)):
        objective = training.Certified(perturbation=Linf(0.1), radius=ramp, kappa=none, beta=whole)
        loss = _loss(objective, toy_model(), toy_batch(30))
        assert loss.total.requires_grad
        assert ("robust" in loss.terms) == robust
        if robust:
            assert not loss.terms["clean"].requires_grad
            torch.testing.assert_close(loss.total, loss.terms["robust"])


def test_kappa_and_beta_move_in_step_with_the_radius() -> None:
    """Half way up, the loss is that of the weights half way."""
    batch, model = toy_batch(30), toy_model()
    half = training.Constant(0.5)
    ramped = training.Certified(
        perturbation=Linf(0.4),
        radius=half,
        kappa=training.Linear(start=1.0, end=0.2, length=1.0),
        beta=training.Linear(start=0.0, end=1.0, length=1.0),
    )
    fixed = training.Certified(perturbation=Linf(0.2), kappa=training.Constant(0.6), beta=half)
    losses = [_loss(objective, model, batch).total for objective in (ramped, fixed)]
    torch.testing.assert_close(losses[0], losses[1])


def test_the_attack_in_training_leaves_the_model_in_training_mode_and_without_gradients() -> None:
    model = toy_model().train()
    for case in OBJECTIVES.values():
        _loss(case.objective, model, toy_batch(12))
        assert all(part.training for part in model.modules())
        assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_the_attack_in_training_does_not_stop_at_the_first_mistake() -> None:
    x, y = toy_points(60)
    model = toy_model().eval()
    far = attacks.PGD(steps=10)(model, x, attacks.HighestLoss(y), Linf(0.4))
    near = attacks.PGD(steps=10)(model, x, y, Linf(0.4))
    with torch.no_grad():
        worst, first = (functional.cross_entropy(model(found.adversarial), y) for found in (far, near))
    assert float(worst) > float(first)


@names
def test_objectives_survive_the_way_through_json(name: str) -> None:
    objective = OBJECTIVES[name].objective
    assert serialization.from_json(serialization.to_json(objective), Objective) == objective


def test_weights_outside_0_to_1_are_refused() -> None:
    with pytest.raises(InvalidInput, match="kappa at 1 of the radius is 2.0"):
        training.Certified(perturbation=Linf(0.1), kappa=training.Linear(start=1.0, end=2.0, length=1.0))


@pytest.mark.parametrize("decrease", [False, True])
def test_the_radii_of_cat_end_at_the_margin_on_a_linear_model(decrease: bool) -> None:
    """The largest radius at which x stays right is margin / ||w||_1: the last step of eta below it is kept."""
    x = torch.tensor([[0.05, 0.0], [0.21, 0.1], [0.9, 0.3], [-0.2, 0.0]])
    model = nn.Linear(2, 2, bias=False)
    model.load_state_dict({"weight": torch.tensor([[1.0, 0.5], [-1.0, -0.5]])})
    batch = Batch(x=x, y=torch.zeros(4, dtype=torch.long), index=torch.tensor([2, 0, 3, 1]))
    cat = training.CAT(perturbation=Linf(0.4), eta=0.03, c=1.0, decrease=decrease)
    state = cat.state(model, 4)
    for step in range(41):
        loss = cat(model, batch, Progress(step=step, steps=41, steps_per_epoch=1, seed=step), state)
    margins = (x @ torch.tensor([1.0, 0.5])).clamp(min=0) / 1.5
    largest = torch.minimum((margins / 0.03).floor() * 0.03, torch.tensor(0.4))
    largest[2] = 0.4  # the cap is no multiple of eta
    below = 0.03 if decrease else 0.0
    found = state.get_buffer("radius")[batch.index]
    assert bool(((found <= largest + 1e-6) & (found >= (largest - below).clamp(min=0) - 1e-6)).all())
    torch.testing.assert_close(loss.terms["radius"], found.mean())


def test_soft_labels_are_distributions_with_the_mean_of_the_paper() -> None:
    class Watched(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 10 * x[:, :3]

    x = functional.one_hot(torch.arange(600) % 3, 3).float()
    batch = Batch(x=x, y=torch.arange(600) % 3, index=torch.arange(600))
    cat = training.CAT(perturbation=Linf(0.2), eta=0.2, c=2.0)
    loss = cat(Watched(), batch, Progress(step=0, steps=1, steps_per_epoch=1), cat.state(nn.Module(), 600))
    # All are held at .2, so that labels have 1 - c e (1 - 1 / C) on the true class in the mean; logits there are known.
    share = 0.4
    lead = 10 * 0.6  # where the attack leaves it
    base = math.log(1 + 2 * math.exp(-lead))
    expected = base + lead * share * (2 / 3)
    assert float(loss.terms["held"]) == 1
    assert float(loss.total) == pytest.approx(expected, rel=0.05)
