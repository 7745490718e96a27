"""The boundary attack: the nearest adversarial example in L2 by class numbers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_fields
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.euclidean import ambient
from robustsuite.attacks.keepers import Keeper, Nearest
from robustsuite.attacks.search import Search
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Ball
from robustsuite.perturbations.extent import spread
from robustsuite.perturbations.norms import flat, norm

_BISECTIONS = 10
_EVERY = 10  # so often the sideways step alone is tried too, to adapt it
_FASTER = 1.3  # the most that a step size changes at once
_OFTEN = 0.2  # of that change, where a size is adapted at each step


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary(Attack):
    """Walk along the decision boundary: a random step sideways at equal distance, then one towards the clean input.

    For L2. Starts at a random point of the range of valid values that meets the criterion, and halves the way to the
    boundary first. Both step sizes follow the share of steps that succeed. With an endless radius it gives the nearest
    success; with a finite one an example is done as soon as it succeeds inside.

    Source: Brendel et al. 2018, algorithm 1 and section 2.

    Args:
        max_queries: rows of each example that the model sees at most, the clean one included, >= 1.
        starts: random points that are tried as a start at most, >= 1.
        sideways: first size of the sideways step, relative to the distance, > 0.
        inward: first size of the step towards the clean input, relative to the distance, in (0, 1).

    Raises:
        InvalidInput: a hyper-parameter out of its range.
    """

    access: ClassVar[Access] = Access.DECISIONS
    keeper: ClassVar[Keeper] = Nearest()

    max_queries: int = 5000
    starts: int = 50
    sideways: float = 0.3
    inward: float = 0.03

    def __post_init__(self) -> None:
        check_fields(self, "max_queries", "starts", integer=True, least=1)
        check_fields(self, "sideways", above=0)
        check_fields(self, "inward", above=0, below=1)

    def run(self, search: Search) -> None:
        room = ambient(search.region, "Boundary")
        if room.is_unbounded:
            raise InvalidInput(
                "Boundary draws its starts from the range of valid values, and there is none; expected clip, as in "
                "L2(math.inf, clip=(0, 1))"
            )
        search = search.limited(self.max_queries)
        search.begin()
        index, point = self._started(search, room)
        point = _nearer(search, index, room, point)
        sideways = torch.full((len(index),), self.sideways, dtype=point.dtype, device=point.device)
        inward = torch.full_like(sideways, self.inward)
        turn, inside = 0, room.select(index)
        while True:
            standing = search.open(index)
            if not bool(standing.all()):
                index, point, sideways, inward = (t[standing] for t in (index, point, sideways, inward))
                inside = room.select(index)
            if len(index) == 0:
                return
            turn += 1
            noise = _uniform(search.seeds[index], inside, self.starts + turn) - 0.5
            round_ = inside.project(_sideways(inside.center, point, noise, sideways))
            if turn % _EVERY == 0:
                sideways = _adapted(sideways, search.decisions(index, round_), 0.5)
            near = inside.project(round_ + spread(inward, point) * (inside.center - round_))
            met = search.decisions(index, near)
            nearer = met & (inside.distance(near) < inside.distance(point))
            point = torch.where(spread(nearer, point), near, point)
            inward = _adapted(inward, met, 0.25, rate=_OFTEN).clamp(max=0.5)

    def _started(self, search: Search, room: Ball) -> tuple[Tensor, Tensor]:
        """Find random points that meet the criterion, for the examples for which there are any."""
        index, points = search.active(), room.center.clone()
        found = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        for trial in range(self.starts):
            index = index[search.open(index)]
            if len(index) == 0:
                break
            inside = room.select(index)
            tries = torch.lerp(inside.lower, inside.upper, _uniform(search.seeds[index], inside, trial))
            met = search.decisions(index, tries)
            points[index[met]], found[index[met]] = tries[met], True
            index = index[~met]
        started = found.nonzero().squeeze(1)
        return started, points[started]


def _uniform(seeds: Tensor, region: Ball, stream: int) -> Tensor:
    drawn = seeding.uniform(seeds, region.center[0].numel(), stream=stream, dtype=region.center.dtype)
    return drawn.view_as(region.center)


def _nearer(search: Search, index: Tensor, room: Ball, point: Tensor) -> Tensor:
    """Bisect the way from the clean inputs to the points."""
    inside = room.select(index)
    low = torch.zeros(len(index), dtype=point.dtype, device=point.device)
    high = torch.ones_like(low)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        met = search.decisions(index, inside.center + spread(middle, point) * (point - inside.center))
        low, high = torch.where(met, low, middle), torch.where(met, middle, high)
    return inside.center + spread(high, point) * (point - inside.center)


def _sideways(center: Tensor, point: Tensor, noise: Tensor, size: Tensor) -> Tensor:
    """Step at right angles to the way from the centre, and back to the same distance."""
    way, noise = flat(point - center), flat(noise)
    length = norm(way, 2).unsqueeze(1)
    unit = way / length.clamp(min=torch.finfo(way.dtype).tiny)
    across = noise - (noise * unit).sum(1, keepdim=True) * unit
    across = across / norm(across, 2).unsqueeze(1).clamp(min=torch.finfo(way.dtype).tiny)
    stepped = way + size.unsqueeze(1) * length * across
    return center + (stepped / (1 + size.square()).sqrt().unsqueeze(1)).view_as(center)


def _adapted(size: Tensor, met: Tensor, wanted: float, *, rate: float = 1.0) -> Tensor:
    """Let a step size grow where more than the wanted share succeed, and shrink where fewer do."""
    return size * _FASTER ** (rate * (met.to(size.dtype) - wanted))
