"""Word substitution: the set, its minima and projections against enumeration, and certificates of classifiers."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from robustsuite import Substitutions, attacks, bounds, seeding
from robustsuite.bounds import Graph
from robustsuite.bounds.forms.linear_form import Dense, LinearForm
from robustsuite.bounds.forms.picks import OneHot
from robustsuite.errors import InvalidInput
from robustsuite.perturbations.substitutions import SubstitutionRegion, synonym_numbers

_BUDGETS = [0, 1, 2, 3, None]
budgets = pytest.mark.parametrize("budget", _BUDGETS)


def _words(budget: int | None, *vector: int) -> tuple[Substitutions, Tensor]:
    """Give substitutions for three sequences of four positions, what is masked being no number; and the sequences."""
    generator = seeding.generator(0, "words")
    candidates = torch.randn((3, 4, 3, *vector), generator=generator, dtype=torch.float64)
    mask = torch.rand((3, 4, 3), generator=generator) < 0.6
    candidates[~mask] = torch.nan
    x = torch.randn((3, 4, *vector), generator=generator, dtype=torch.float64)
    return Substitutions(candidates, mask, budget), x


def _all(words: Substitutions, x: Tensor, example: int) -> Iterator[Tensor]:
    """Give every sequence that is allowed for an example."""
    assert words.mask is not None
    budget = x.shape[1] if words.budget is None else words.budget
    choices = [
        [word, *(c for c, there in zip(candidates, mask, strict=True) if there)]
        for word, candidates, mask in zip(
            x[example], words.candidates[example], words.mask[example], strict=True
        )
    ]
    for chosen in itertools.product(*(range(len(c)) for c in choices)):
        if sum(i > 0 for i in chosen) <= budget:
            yield torch.stack([c[i] for c, i in zip(choices, chosen, strict=True)])


@budgets
@pytest.mark.parametrize("vector", [(2,), (), (2, 1)], ids=str)
def test_minimum_is_that_of_enumeration(budget: int | None, vector: tuple[int, ...]) -> None:
    words, x = _words(budget, *vector)
    region = words.around(x)
    a = torch.randn((3, 5, 4, *vector), generator=seeding.generator(1), dtype=torch.float64)
    least, lowest = region.minimum(a, lambda t: t), region.minimizer_of(a[:, 0])
    for example in range(3):
        values = torch.stack([(a[example] * p).flatten(1).sum(1) for p in _all(words, x, example)])
        torch.testing.assert_close(least[example], values.amin(0))
        torch.testing.assert_close((a[example, 0] * lowest[example]).sum(), values[:, 0].amin())
    shared = region.minimum(a[:1], lambda t: t)
    torch.testing.assert_close(shared[0], least[0])
    assert shared.shape == (3, 5)
    torch.testing.assert_close(
        region.select(torch.tensor([2, 0])).minimum(a[[2, 0]], lambda t: t), least[[2, 0]]
    )


@budgets
def test_projection_is_the_nearest_sequence(budget: int | None) -> None:
    words, x = _words(budget, 2)
    region = words.around(x)
    far = 2 * torch.randn((3, 4, 2), generator=seeding.generator(2), dtype=torch.float64)
    nearest = region.project(far)
    for example in range(3):
        gaps = [float((p - far[example]).norm()) for p in _all(words, x, example)]
        assert float((nearest[example] - far[example]).norm()) == pytest.approx(min(gaps))
    assert torch.equal(region.project(nearest), nearest)


@budgets
def test_set_and_its_samples(budget: int | None) -> None:
    """All that is allowed is contained, samples are allowed and reach everything, and the hull is no wider."""
    words, x = _words(budget, 2)
    region = words.around(x)
    copies = region.select(torch.arange(3).repeat(1500))
    samples = copies.sample(generator=torch.Generator().manual_seed(0)).unflatten(0, (1500, 3))
    for example in range(3):
        alone = region.select(torch.tensor([example]))
        points = torch.stack(list(_all(words, x, example)))
        assert all(bool(alone.contains(p.unsqueeze(0))) for p in points)
        drawn = samples[:, example].flatten(1).unique(dim=0)
        allowed = points.flatten(1).unique(dim=0)
        assert drawn.shape == allowed.shape
        torch.testing.assert_close(drawn, allowed)
        torch.testing.assert_close(alone.lower[0], points.amin(0))
        torch.testing.assert_close(alone.upper[0], points.amax(0))
    assert float(region.distance(samples[0]).max()) <= (4 if budget is None else budget)
    assert not bool(region.contains(x + 0.01).any())
    assert torch.equal(region.distance(x), torch.zeros(3, dtype=torch.float64))


def test_budget_is_kept() -> None:
    words, x = _words(None, 2)
    everything = words.around(x).sample(generator=torch.Generator().manual_seed(0))
    tight = Substitutions(words.candidates, words.mask, 1).around(x)
    changed = tight.distance(everything)
    assert torch.equal(tight.contains(everything), changed <= 1)
    assert bool((tight.distance(tight.project(everything)) <= 1).all())


def _forms(a: Tensor) -> list[LinearForm]:
    rows, index = torch.tensor([0, 2, 2]), torch.tensor([3, 0, 7])
    return [Dense(None, (1, 4, 2), a), OneHot(rows, (1, 4, 2), index, a[:, :2, 0, 0, 0])]


def _taker(form: LinearForm) -> Callable[[Tensor], Tensor]:
    return lambda t: form.take(t.unsqueeze(1))


def test_every_layout_of_a_form() -> None:
    """A form that stands at one entry means the same as the dense one."""
    words, x = _words(2, 2)
    region = words.around(x)
    a = torch.randn((3, 5, 1, 4, 2), generator=seeding.generator(3), dtype=torch.float64)
    for form in _forms(a):
        dense = form.dense()
        least = region.minimum(dense.a, _taker(dense))
        rows = range(3) if form.rows is None else form.rows.tolist()
        for row, example in enumerate(rows):
            points = torch.stack(list(_all(words, x, example)))
            values = torch.einsum("spd,npd->ns", dense.a[row, :, 0], points)
            torch.testing.assert_close(least[row], values.amin(0))


class Recurrent(nn.Module):
    """The last output of an LSTM over the words, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(3, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.lstm(x)[0][:, -1])
        return y


class Encoder(nn.Module):
    """One encoder layer without the division by the deviation, places added inside; then the mean of the words."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(0.3 * torch.randn(4, 4))
        self.enter, self.inner, self.last = nn.Linear(3, 4), nn.Linear(4, 6), nn.Linear(4, 2)
        self.query, self.key, self.value, self.leave = (nn.Linear(4, 4) for _ in range(4))
        self.outer = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x) + self.place
        parts = (f(x).unflatten(2, (2, 2)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        x = x + self.leave(mixed)
        x = x - x.mean(2, keepdim=True)
        x = x + self.outer(torch.relu(self.inner(x)))
        y: Tensor = self.last((x - x.mean(2, keepdim=True)).mean(1))
        return y


_SYNONYMS = {1: (2, 3), 2: (1,), 3: (1,), 4: (5, 6, 7), 5: (4,), 8: (9,), 9: (8,)}


@functools.cache
def _classifier(kind: Callable[[], nn.Module]) -> tuple[Graph, nn.Embedding, Tensor]:
    """Give a traced classifier, its embedding, and sentences of which it puts some into each class."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module, table = kind().eval(), nn.Embedding(12, 3)
    table.requires_grad_(False)
    tokens = torch.randint(1, 10, (4, 4), generator=seeding.generator(4))
    x = table(tokens)
    with torch.no_grad():
        last = module.get_submodule("last")
        assert isinstance(last, nn.Linear)
        last.bias.sub_(module(x).mean(0))
    return bounds.trace(module, x), table, tokens


@pytest.mark.parametrize("budget", [0, 1, 2, None])
@pytest.mark.parametrize("kind", [Recurrent, Encoder])
def test_classifiers_against_enumeration(kind: Callable[[], nn.Module], budget: int | None) -> None:
    """Bounds of the margin hold for all sentences, and the budget counts: certified <= enumerated <= clean."""
    net, table, tokens = _classifier(kind)
    module, x = net.module, table(tokens)
    words = Substitutions.from_tokens(tokens, table, _SYNONYMS, budget=budget)
    region = words.around(x)
    with torch.no_grad():
        labels = module(x).argmax(1)
        rows = bounds.margins(2, labels).rows()
        lowest = []
        for example in range(len(x)):
            scores = module(torch.stack(list(_all(words, x, example))))
            lowest.append((scores @ rows[example].t()).amin())
        worst = torch.stack(lowest).unsqueeze(1)
        clean = (module(x).unsqueeze(1) * rows).sum(2)
    tight = bounds.alpha_crown(net, region, objective=rows, steps=12).lower
    looser = [
        m(net, region, objective=rows).lower.detach() for m in (bounds.ibp, bounds.forward, bounds.crown)
    ]
    for found in (*looser, bounds.crown_ibp(net, region, objective=rows).lower.detach(), tight):
        assert bool((found <= worst + 1e-5).all())
        if budget == 0:
            torch.testing.assert_close(found, clean, rtol=1e-4, atol=1e-5)
    certified = bounds.certified(net, region, labels)
    assert bool((worst[certified] > 0).all())
    attacked = attacks.PGD(steps=20, restarts=3)(
        module, x, labels, words, generator=torch.Generator().manual_seed(0)
    )
    assert bool((worst[attacked.success] <= 0).all())
    assert bool(region.contains(attacked.adversarial, tolerance=0).all())
    # What the best relaxation leaves, beside the room between the clean and the worst margin: measured up to 0.4.
    assert float((worst - tight).mean()) <= 0.7 * float((clean - worst).mean()) + 1e-5


def test_smaller_budgets_are_tighter() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module, table = Recurrent().eval(), nn.Embedding(12, 3)
    tokens = torch.randint(1, 10, (4, 6), generator=seeding.generator(5))
    x = table(tokens).detach()
    net = bounds.trace(module, x)
    widths = []
    for budget in (0, 1, 2, 4, None):
        words = Substitutions.from_tokens(tokens, table, _SYNONYMS, budget=budget)
        widths.append(bounds.crown_ibp(net, words.around(x)).width.detach())
    for small, large in itertools.pairwise(widths):
        assert bool((small <= large + 1e-5).all())
        assert float(small.mean()) < float(large.mean())


def test_attack_finds_what_enumeration_finds() -> None:
    """On linear models the worst sequence is one whole step away."""
    words, x = _words(2, 2)
    weight = torch.randn((8, 2), generator=seeding.generator(6), dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight

    y = model(x).argmax(1)
    row = (weight.t()[1 - y] - weight.t()[y]).clone()
    broken = [max(float(p.flatten() @ row[e]) for p in _all(words, x, e)) > 0 for e in range(3)]
    for attack in (attacks.PGD(steps=10, restarts=3), attacks.PGD(steps=10, random_start=False)):
        result = attack(model, x, y, words, generator=torch.Generator().manual_seed(0))
        assert result.success.tolist() == broken


def test_tokens() -> None:
    """Each word may become its synonyms, and no other; whatever else the embedding adds is added to them too."""
    table = nn.Embedding(10, 3)
    tokens = torch.tensor([[1, 4, 0], [7, 1, 5]])
    words = Substitutions.from_tokens(tokens, table, {1: (2, 3, 1), 5: [4]}, budget=2)
    assert words.mask is not None
    assert words.mask.sum(2).tolist() == [[2, 0, 0], [0, 2, 1]]
    torch.testing.assert_close(words.candidates[0, 0], table.weight[[2, 3]])
    torch.testing.assert_close(words.candidates[1, 2, 0], table.weight[4])
    place = torch.randn(3, 3)
    moved = Substitutions.from_tokens(tokens, lambda t: table(t) + place.unsqueeze(1), {1: (2,)})
    torch.testing.assert_close(moved.candidates[1, 1, 0], table.weight[2] + place[1])
    none = Substitutions.from_tokens(tokens, table, {}).around(table(tokens))
    assert torch.equal(none.lower, none.upper)
    assert torch.equal(none.sample(), none.center)
    least = none.minimum(torch.ones(2, 1, 9), lambda t: t)
    torch.testing.assert_close(least[:, 0], none.center.flatten(1).sum(1))


def test_numbers_of_synonyms() -> None:
    synonyms = {"good": ["great", "fine", "good", "decent"], "odd": ["strange"], "grand": ["great"]}
    numbers = {"good": 2, "great": 3, "decent": 4, "odd": 5}
    assert synonym_numbers(synonyms, numbers) == {2: (3, 4)}
    assert synonym_numbers(synonyms, numbers, most=1) == {2: (3,)}


def test_gradients_reach_the_embedding() -> None:
    """Certified training moves words and candidates alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        table, module = nn.Embedding(10, 3), nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    tokens = torch.tensor([[1, 4, 5, 2]])
    net = bounds.trace(module, table(tokens))
    words = Substitutions.from_tokens(tokens, table, {1: (3,)})
    bounds.crown(net, words.around(table(tokens))).width.sum().backward()
    gradient = table.weight.grad
    assert gradient is not None
    assert bool(gradient.isfinite().all())
    assert bool((gradient[[1, 3]] != 0).any(1).all())
    assert not bool(gradient[9].any())


def test_share_of_the_way() -> None:
    words, x = _words(None, 2)
    half = words.scaled(0.5).around(x)
    full = words.around(x)
    torch.testing.assert_close(half.upper - x, (full.upper - x) / 2)
    assert words.scaled(0.25).scaled(2).share == 0.5
    assert words.scaled(3).share == 1.0
    nothing = words.scaled(0.0).around(x)
    assert torch.equal(nothing.lower, nothing.upper)


def test_two_threats_are_equal_only_if_they_are_one() -> None:
    words, _ = _words(1, 2)
    other, _ = _words(1, 2)
    assert words == words  # noqa: PLR0124
    assert words != other
    assert len({words, other}) == 2
    assert words.describe() == "Substitutions(1)"
    assert other.scaled(1).describe() == "Substitutions(1)"
    assert Substitutions(other.candidates[other.mask].view(1, 1, -1, 2)).describe() == "Substitutions(any)"


def test_precision_follows_the_input() -> None:
    words, x = _words(2, 2)
    region = words.around(x.float())
    assert isinstance(region, SubstitutionRegion)
    assert region.sample().dtype == region.lower.dtype == torch.float32
    assert region.project(x.float()).dtype == torch.float32


@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_inputs() -> None:
    words, x = _words(2, 2)
    c = torch.zeros(1, 2, 3, 4)
    with pytest.raises(InvalidInput, match=r"candidates have shape \(2, 3\)"):
        Substitutions(torch.zeros(2, 3))
    with pytest.raises(InvalidInput, match="expected floating point vectors"):
        Substitutions(c.long())
    with pytest.raises(InvalidInput, match=r"mask has shape \(1, 2\).*= \(1, 2, 3\)"):
        Substitutions(c, torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(InvalidInput, match="expected booleans"):
        Substitutions(c, torch.ones(1, 2, 3))
    with pytest.raises(InvalidInput, match="leave them out by the mask"):
        Substitutions(words.candidates)
    with pytest.raises(InvalidInput, match="budget is -1; expected an integer >= 0, or None"):
        Substitutions(c, budget=-1)
    with pytest.raises(InvalidInput, match=r"share is 1\.5"):
        Substitutions(c, share=1.5)
    with pytest.raises(InvalidInput, match="pass the vectors of the same sequences"):
        words.around(x[:2])
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        words.around(x * torch.nan)
    with pytest.raises(InvalidInput, match=r"tokens have shape \(4,\)"):
        Substitutions.from_tokens(torch.zeros(4, dtype=torch.long), nn.Embedding(3, 2), {})
    with pytest.raises(InvalidInput, match="numbers up to 9, which the embedding does not have"):
        Substitutions.from_tokens(torch.ones((1, 2), dtype=torch.long), nn.Embedding(3, 2), {1: (9,)})
