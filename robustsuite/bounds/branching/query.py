"""A property of one example, and the attack that looks for a violation before anything is proved."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from robustsuite.bounds.tracing.graph import Graph
from robustsuite.perturbations import Region
from robustsuite.perturbations.norms import flat

Point = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One example's property: no x of the regions has, for some group, ``rows @ f(x) + offset <= 0`` in all rows.

    Points are tuples with a tensor (points, *input) for each input of the network.

    Attributes:
        net: the network.
        regions: of one example, one region per input.
        rows: shape (groups, rows, *output); a group with fewer rows repeats one of its own.
        offset: shape (groups, rows).
        deadline: on the clock of `time.monotonic`.
    """

    net: Graph
    regions: tuple[Region, ...]
    rows: Tensor
    offset: Tensor
    deadline: float

    def out_of_time(self) -> bool:
        """Say whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def select(self, index: Tensor) -> tuple[Region, ...]:
        """Give the regions, repeated as `index` (zeros) says."""
        return tuple(region.select(index) for region in self.regions)

    def values(self, x: Point) -> Tensor:
        """Give the largest row of each group at the inputs `x`, shape (points, groups): <= 0 is a violation."""
        y = flat(self.net.module(*x))
        rows = torch.einsum("po,gro->pgr", y, flat(self.rows, 2)) + self.offset
        return rows.amax(2)

    def gradient(self, x: Point, group: Tensor) -> Point:
        """Give the gradient of the groups' values at the points, `group` (points,) naming one for each."""
        x = tuple(part.detach().requires_grad_() for part in x)
        with torch.enable_grad():
            value = self.values(x).gather(1, group.unsqueeze(1)).sum()
            return torch.autograd.grad(value, x, allow_unused=True, materialize_grads=True)

    def violation(self, x: Point) -> Point | None:
        """Give the first of the points `x` that violates the property when run through the network."""
        with torch.no_grad():
            bad = (self.values(x) <= 0).any(1) & self.regions_hold(x)
        return tuple(part[int(bad.nonzero()[0, 0])] for part in x) if bool(bad.any()) else None

    def regions_hold(self, x: Point) -> Tensor:
        """Say which points lie in the regions, with no tolerance of their hulls."""
        copies = self.select(torch.zeros(len(x[0]), dtype=torch.long, device=x[0].device))
        inside = torch.ones(len(x[0]), dtype=torch.bool, device=x[0].device)
        for part, region in zip(x, copies, strict=True):
            within = (part >= region.lower) & (part <= region.upper)
            inside = inside & flat(within).all(1) & region.contains(part)
        return inside


def attack(
    query: Query,
    generator: torch.Generator | None,
    *,
    starts: int = 64,
    steps: int = 30,
    seconds: float = math.inf,
) -> Point | None:
    """Search each group for a violation by projected gradient descent on its largest row.

    Args:
        query: the property.
        generator: of the starting points.
        starts: points, shared out among the groups.
        steps: of decreasing size.
        seconds: when to give up, besides the query's own deadline.
    """
    until = time.monotonic() + seconds
    groups = len(query.rows)
    copies = max(1, starts // groups)
    device = query.rows.device
    regions = query.select(torch.zeros(groups * copies, dtype=torch.long, device=device))
    target = torch.arange(groups, device=device).repeat(copies)
    # From inside, all descents tend to end in one place; from the region's corners they spread.
    corner = (torch.arange(groups * copies, device=device) // groups) % 2 == 1
    point = tuple(_starts(region, corner, generator) for region in regions)
    for step in range(steps):
        found = query.violation(point)
        if found is not None or query.out_of_time() or time.monotonic() > until:
            return found
        gradient = query.gradient(point, target)
        size = 0.5 * (1 - step / steps)
        point = tuple(
            region.project(part + size * region.ascent(-g))
            for region, part, g in zip(regions, point, gradient, strict=True)
        )
    return query.violation(point)


def _starts(region: Region, corner: Tensor, generator: torch.Generator | None) -> Tensor:
    inside = region.sample(generator=generator)
    toward = torch.randn(inside.shape, generator=generator, dtype=inside.dtype)
    outside = region.minimizer_of(toward.to(inside.device))
    return torch.where(corner.view(-1, *(1,) * (inside.dim() - 1)), outside, inside)
