"""The driver: rows, budgets, chunks and keepers, tried with attacks made for the purpose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from robustsuite import L2, Linf, attacks, module_state
from robustsuite.attacks import PGD, Access, Attack, InTurn, Misclassification, RandomSearch, Repeated, Search
from robustsuite.attacks.keepers import Keeper, Nearest
from robustsuite.attacks.search import LeftTheRegion
from robustsuite.errors import InvalidInput

from .cases import examples, trained


@dataclass(frozen=True)
class Probes(Attack):
    """Sends several rows of each example at once, at the given parts of the way towards a corner of the box."""

    access: ClassVar[Access] = Access.SCORES

    parts: tuple[float, ...]
    seen: Callable[[attacks.search.Answers], None] = lambda answers: None
    max_queries: int | None = None
    max_rows: int | None = None

    def run(self, search: Search) -> None:
        search = search.limited(self.max_queries).chunked(self.max_rows)
        search.begin()
        index = search.active().repeat_interleave(len(self.parts))
        part = torch.tensor(self.parts).repeat(len(search.active())).unsqueeze(1)
        inside = search.region.select(index)
        self.seen(search.scores(index, inside.center + part * (inside.upper - inside.center)))


@dataclass(frozen=True)
class NearestProbes(Probes):
    keeper: ClassVar[Keeper] = Nearest()


def _threshold(x: Tensor) -> Tensor:
    """Class 1 where the only feature is above 1/2."""
    return torch.cat([0.5 - x, x - 0.5], 1)


def _zeros(count: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(count, 1), torch.zeros(count, dtype=torch.long)


def test_the_best_row_of_an_example_is_kept_wherever_it_stands() -> None:
    x, y = _zeros(3)
    for parts in ((0.2, 0.45, 0.1), (0.45, 0.1, 0.2), (0.1, 0.2, 0.45)):
        found = Probes(parts)(_threshold, x, y, Linf(1.0))
        assert found.adversarial.flatten().tolist() == pytest.approx([0.45] * 3)
        assert not bool(found.success.any())
        assert found.queries.tolist() == [4] * 3
    for parts in ((0.2, 0.6, 0.9), (0.9, 0.2, 0.6), (0.6, 0.9, 0.2)):
        assert bool(Probes(parts)(_threshold, x, y, Linf(1.0)).success.all())
        nearest = NearestProbes(parts)(_threshold, x, y, Linf(math.inf, clip=(0, 1)))
        assert nearest.adversarial.flatten().tolist() == pytest.approx([0.6] * 3)
        assert nearest.trace.queries.tolist() == [4] * 3


@pytest.mark.parametrize("rows", [None, 1, 4, 5])
@pytest.mark.parametrize("budget", [None, 1, 3, 4])
def test_rows_come_back_in_order_and_within_the_budget(rows: int | None, budget: int | None) -> None:
    x, y = _zeros(3)
    parts = (0.2, 0.6, 0.1, 0.9)
    sizes: list[int] = []
    answers: list[attacks.search.Answers] = []

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return _threshold(x)

    attack = Probes(parts, answers.append, budget, rows)
    found = attack(model, x, y, Linf(1.0))
    sent = 4 if budget is None else budget - 1
    assert found.queries.tolist() == [1 + sent] * 3
    assert sum(sizes) == 3 * (1 + sent)
    assert rows is None or max(sizes) <= max(rows, 1)
    met, score = (part.view(3, -1) for part in answers[0]) if sent else (torch.zeros(3, 0), torch.zeros(3, 0))
    assert met[:, :sent].tolist() == [[part > 0.5 for part in parts[:sent]]] * 3
    assert not bool(met[:, sent:].any())
    assert bool(score[:, sent:].isneginf().all())


def test_a_row_outside_is_no_success_for_the_nearest() -> None:
    x, y = _zeros(2)
    found = NearestProbes((0.9, 0.6, 0.1))(_threshold, x, y, L2(0.4, clip=(0, 1)))
    assert not bool(found.success.any())
    assert bool(L2(0.4).around(x).contains(found.adversarial).all())


def test_an_attack_that_leaves_the_region_is_a_fault() -> None:
    x, y = _zeros(2)
    with pytest.raises(LeftTheRegion, match="Probes left the region at example 0"):
        Probes((1.1,))(_threshold, x, y, Linf(0.4))


def test_parts_share_what_was_found_and_spent() -> None:
    x, y = examples()
    parts = (PGD(steps=2), RandomSearch(max_queries=5), PGD(steps=5))
    found = InTurn(parts)(trained(), x, y, Linf(0.05), generator=torch.Generator().manual_seed(0))
    alone = PGD(steps=2)(trained(), x, y, Linf(0.05), generator=torch.Generator().manual_seed(0))
    assert bool((found.success | ~alone.success).all())
    assert torch.equal(found.queries[alone.success], alone.queries[alone.success])
    assert set(found.queries[~found.success].tolist()) == {4 + 5 + 6}  # the clean input is tried once
    assert set(found.gradients[~found.success].tolist()) == {2 + 5}


def test_a_repeated_attack_begins_as_the_attack_itself() -> None:
    x, y = examples()
    once, thrice = (
        attack(trained(), x, y, Linf(0.08), generator=torch.Generator().manual_seed(0))
        for attack in (PGD(steps=1), Repeated(PGD(steps=1), 3))
    )
    assert torch.equal(thrice.adversarial[once.success], once.adversarial[once.success])
    assert bool((thrice.queries[~thrice.success] == 7).all())


@pytest.mark.usefixtures("as_users_run_it")
def test_what_is_no_attack_cannot_be_a_part() -> None:
    for wrong in ((PGD(), 3), (PGD,), ()):
        with pytest.raises(InvalidInput, match="expected a tuple of attacks"):
            InTurn(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="times is 0"):
        Repeated(PGD(), 0)
    with pytest.raises(InvalidInput, match="surrogates is empty"):
        attacks.Transfer((), PGD())


def test_no_examples_no_result() -> None:
    found = PGD(steps=2)(trained(), torch.zeros(0, 64), torch.zeros(0, dtype=torch.long), Linf(0.1))
    assert found.adversarial.shape == (0, 64)
    assert len(found.trace.example) == 0


def test_overlapping_users_of_a_module_leave_it_as_it_was() -> None:
    """The first to come is not the last to go."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    users = [
        (module_state.evaluating(model), module_state.frozen(model)),
        (module_state.evaluating(model), module_state.frozen(model[0])),
    ]
    for user in users:
        for state in user:
            state.__enter__()
    for state in users[0]:
        state.__exit__(None, None, None)
    assert not any(part.training for part in model.modules())
    assert not any(p.requires_grad for p in model.parameters())
    for state in users[1]:
        state.__exit__(None, None, None)
    assert [part.training for part in model.modules()] == [True, True, False]
    assert [p.requires_grad for p in model.parameters()] == [True, False]


def test_the_criterion_may_be_a_strangers() -> None:
    class Third:
        """Class 3 comes first."""

        def met(self, outputs: Tensor) -> Tensor:
            return outputs.argmax(1) == 3

        def score(self, outputs: Tensor) -> Tensor:
            return outputs[:, 3]

        def select(self, index: Tensor) -> Third:
            return self

    x, y = examples()
    noise = torch.Generator().manual_seed(0)
    found = PGD()(trained(), x, Third(), Linf(0.5, clip=(0, 1)), generator=noise)
    with torch.no_grad():
        assert torch.equal(trained()(found.adversarial).argmax(1) == 3, found.success)
    assert float(found.success.double().mean()) > 0.8
    both = PGD()(trained(), x, Misclassification(y) & Third(), Linf(0.5, clip=(0, 1)), generator=noise)
    assert bool((both.success <= (y != 3)).all())
    assert float(both.success.double().mean()) > 0.3
    with pytest.raises(InvalidInput, match="Third has no labels for the loss cross_entropy"):
        PGD(loss=attacks.losses.cross_entropy)(trained(), x, Third(), Linf(0.1))
