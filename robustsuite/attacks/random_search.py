"""Random search: local search on scores, the baseline of all attacks by queries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_fields
from robustsuite.attacks import losses
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.criteria import check_loss
from robustsuite.attacks.search import Search
from robustsuite.perturbations import Region
from robustsuite.perturbations.extent import spread
from robustsuite.perturbations.norms import flat, norm


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSearch(Attack):
    """Move a random share of the features to the region's border, and keep what raises the score.

    The share falls as the budget is spent: whole inputs at first, few features at the end.

    Source: Rastrigin 1963; as an attack Andriushchenko et al. 2020 (Square), algorithm 1, without squares.

    Args:
        max_queries: rows of each example that the model sees at most, the clean one included, >= 1.
        share: of the features that the first steps move, in (0, 1].
        probes: tries from one point in one call of the model, of which the best is taken, >= 1.
        loss: what to raise; None: the criterion's score.

    Raises:
        InvalidInput: a hyper-parameter out of its range.
    """

    access: ClassVar[Access] = Access.SCORES

    max_queries: int = 1000
    share: float = 0.1
    probes: int = 1
    loss: losses.RowLoss | None = None

    def __post_init__(self) -> None:
        check_fields(self, "max_queries", "probes", integer=True, least=1)
        check_fields(self, "share", above=0, most=1)
        check_loss(self.loss)

    def run(self, search: Search) -> None:
        search = search.steered(self.loss).limited(self.max_queries)
        search.begin()
        index = search.active()
        if len(index) == 0:
            return
        inside = search.region.select(index)
        start = inside.ascent(_noise(search.seeds[index], inside) - 0.5)
        point, whole = inside.project(inside.center + start), _length(start)
        score, spent = search.scores(index, point).score, 2
        while True:
            standing = search.open(index)
            if not bool(standing.all()):
                index, point, score, whole = (
                    index[standing],
                    point[standing],
                    score[standing],
                    whole[standing],
                )
                inside = inside.select(standing)
            if len(index) == 0:
                return
            share = max(self.share * _falling(spent / self.max_queries), 1 / inside.center[0].numel())
            rows = torch.arange(len(index), device=index.device).repeat_interleave(self.probes)
            seeds = search.seeds[index[rows]] + torch.arange(len(rows), device=index.device) % self.probes
            around = inside.select(rows) if self.probes > 1 else inside
            step = _step(seeds, around, whole[rows], share, stream=spent)
            tries = around.project(point[rows] + step)
            found = search.scores(index[rows], tries).score.view(len(index), self.probes)
            most, at = found.max(1)
            better = most > score
            taken = tries.view(len(index), self.probes, *tries.shape[1:])[rows[:: self.probes], at]
            point = torch.where(spread(better, point), taken, point)
            score, spent = torch.maximum(score, most), spent + self.probes


def _noise(seeds: Tensor, region: Region, stream: int = 0) -> Tensor:
    drawn = seeding.uniform(seeds, region.center[0].numel(), stream=stream, dtype=region.center.dtype)
    return drawn.view_as(region.center)


def _step(seeds: Tensor, region: Region, whole: Tensor, share: float, *, stream: int) -> Tensor:
    """Draw a step of a share of the features, as long as that share of a whole step across the region."""
    drawn = _noise(seeds, region, stream)
    step = region.ascent(torch.where(drawn < share, drawn - share / 2, 0.0))
    length = _length(step)
    scale = torch.where(length > 0, 2 * share**0.5 * whole / torch.where(length > 0, length, 1.0), 0.0)
    return spread(scale, step) * step


def _length(step: Tensor) -> Tensor:
    return norm(flat(step), 2)


def _falling(spent: float) -> float:
    """Give the factor on the share when a part of the budget is spent: it halves with each fifth of it."""
    return math.exp2(-5 * spent)
