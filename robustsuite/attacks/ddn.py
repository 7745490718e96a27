"""DDN: the nearest adversarial example in L2, direction and norm decoupled."""

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
from robustsuite.attacks.euclidean import ambient
from robustsuite.attacks.keepers import Keeper, Nearest
from robustsuite.attacks.search import Search, Slopes
from robustsuite.perturbations.extent import spread
from robustsuite.perturbations.norms import flat, norm


@dataclass(frozen=True, slots=True, kw_only=True)
class DDN(Attack):
    """Step along the gradient, then set the norm: a little smaller after a success, a little larger after a failure.

    For L2. With an endless radius, ``DDN()(model, x, y, L2(math.inf, clip=(0, 1)))``, it gives the nearest success; with
    a finite one an example is done as soon as it succeeds inside.

    Source: Rony et al. 2019, algorithm 1, without the rounding to 8 bits.

    Args:
        steps: gradients of each example, >= 1.
        initial: norm after the first step, in input units, > 0; None: a share of `gamma` more than the distance at which
            the criterion's score would be 0 if it were linear, and 1 with another loss.
        gamma: how much the norm changes in one step, in (0, 1).
        step_size: of the first step, in input units, > 0; it falls to a hundredth along half a cosine.
        loss: what to raise; None: the criterion's score, which for labels is the margin.

    Raises:
        InvalidInput: a hyper-parameter out of its range.
    """

    access: ClassVar[Access] = Access.GRADIENTS
    keeper: ClassVar[Keeper] = Nearest()

    steps: int = 100
    initial: float | None = None
    gamma: float = 0.05
    step_size: float = 1.0
    loss: losses.RowLoss | None = None

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)
        check_fields(self, "initial", above=0, optional=True)
        check_fields(self, "step_size", above=0)
        check_fields(self, "gamma", above=0, below=1)
        check_loss(self.loss)

    def run(self, search: Search) -> None:
        search = search.steered(self.loss)
        index = search.active()
        room = ambient(search.region, "DDN").select(index)
        delta = torch.zeros_like(room.center)
        for step in range(self.steps):
            if len(index) == 0:
                return
            found = search.gradient(index, room.project(room.center + delta))
            if step == 0:
                radius = self._first(found)
            else:
                radius = torch.where(found.met, radius * (1 - self.gamma), radius * (1 + self.gamma))
            standing = search.open(index)
            if not bool(standing.all()):
                index, delta, radius, room = (
                    index[standing],
                    delta[standing],
                    radius[standing],
                    room.select(standing),
                )
            ascent = room.direction(_nowhere_flat(found.gradient[standing], search.seeds[index], step))
            size = self.step_size * (0.505 + 0.495 * math.cos(math.pi * step / self.steps))
            delta = room.direction(delta + size * ascent) * spread(radius, delta)
            delta = room.project(room.center + delta) - room.center
        search.scores(index, room.project(room.center + delta))

    def _first(self, found: Slopes) -> Tensor:
        slope = norm(flat(found.gradient), 2)
        if self.initial is not None or self.loss is not None:
            return torch.full_like(slope, self.initial or 1.0)
        known = (slope > 0) & found.score.isfinite() & ~found.lost
        radius = found.score.abs() / torch.where(slope > 0, slope, 1.0)
        # A little beyond: at the distance itself rounding alone would decide, and with it who shares the batch.
        return torch.where(known, (1 + self.gamma) * radius, 1.0).to(slope.dtype)


def _nowhere_flat(gradient: Tensor, seeds: Tensor, step: int) -> Tensor:
    """Put noise in the place of gradients that are zero, where a saturated loss gives no direction."""
    rows = flat(gradient)
    dead = ~rows.any(1)
    if not bool(dead.any()):
        return gradient
    noise = seeding.uniform(seeds[dead], rows.shape[1], stream=step + 1, dtype=rows.dtype) - 0.5
    return rows.index_put((dead,), noise).view_as(gradient)
