"""A property of one example, and the attack that looks for a violation before anything is proved."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from robustsuite.bounds.graph import Graph
from robustsuite.perturbation import Region


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One example's property: no x of the region has, for some group, ``rows @ f(x) + offset <= 0`` in all rows.

    Attributes:
        net: the network.
        region: of one example.
        rows: shape (groups, rows, *output); a group with fewer rows repeats one of its own.
        offset: shape (groups, rows).
        deadline: on the clock of `time.monotonic`.
    """

    net: Graph
    region: Region
    rows: Tensor
    offset: Tensor
    deadline: float

    def out_of_time(self) -> bool:
        """Say whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def values(self, x: Tensor) -> Tensor:
        """Give the largest row of each group at the inputs `x`, shape (points, groups): <= 0 is a violation."""
        y = self.net.module(x).reshape(len(x), -1)
        rows = torch.einsum("po,gro->pgr", y, self.rows.flatten(2)) + self.offset
        return rows.amax(2)

    def violation(self, x: Tensor) -> Tensor | None:
        """Give the first of the points `x` that violates the property when run through the network."""
        with torch.no_grad():
            bad = (self.values(x) <= 0).any(1) & self.region_holds(x)
        return x[int(bad.nonzero()[0, 0])] if bool(bad.any()) else None

    def region_holds(self, x: Tensor) -> Tensor:
        """Say which points lie in the region, with no tolerance."""
        inside = (x >= self.region.lower) & (x <= self.region.upper)
        return inside.flatten(1).all(1) & self.region.select(torch.zeros(len(x), dtype=torch.long)).contains(
            x
        )


def attack(
    query: Query, generator: torch.Generator | None, *, starts: int = 64, steps: int = 30
) -> Tensor | None:
    """Search each group for a violation by projected gradient descent on its largest row."""
    groups = len(query.rows)
    copies = max(1, starts // groups)
    region = query.region.select(torch.zeros(groups * copies, dtype=torch.long))
    target = torch.arange(groups).repeat(copies)
    point = region.sample(generator=generator)
    for step in range(steps):
        found = query.violation(point)
        if found is not None or query.out_of_time():
            return found
        point = point.detach().requires_grad_()
        with torch.enable_grad():
            value = query.values(point).gather(1, target.to(point.device).unsqueeze(1)).sum()
            (gradient,) = torch.autograd.grad(value, point)
        size = 0.5 * (1 - step / steps)
        point = region.project(point.detach() + size * region.ascent(-gradient))
    return query.violation(point)
