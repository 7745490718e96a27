"""Functions that are cut over to another one at a point, with a small jump: softplus beyond its threshold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from robustsuite.bounds.operations import Thetas
from robustsuite.bounds.relaxations.unary import Lines, Relaxation


class Straight(Relaxation):
    """slope * x."""

    def __init__(self, slope: float = 1.0) -> None:
        self._slope = slope

    def __call__(self, x: Tensor) -> Tensor:
        return self._slope * x

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        ends = self(l), self(u)
        return torch.minimum(*ends), torch.maximum(*ends)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        slope, zero = torch.full_like(l, self._slope), torch.zeros_like(l)
        return Lines(slope, zero, slope, zero)

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        return torch.zeros_like(l, dtype=torch.bool)


class Patched(Relaxation):
    """One function up to a point, and from there on another one that lies close to where the first would go on.

    An interval on either side gets that side's lines; one across the point those of the first function, moved by as
    much as the second may be off.

    Args:
        function: the whole, as torch computes it.
        near: the first function, bounded on its own side and beyond.
        far: the second one.
        at: the point.
        side: +1 where the second function holds right of the point, -1 left of it.
        below, above: near - below <= far <= near + above on the second one's side; >= 0.
        derivative: gives the derivative, or the error where the jump is one that matters.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        near: Relaxation,
        far: Relaxation,
        *,
        at: float,
        side: int,
        below: float = 0.0,
        above: float = 0.0,
        derivative: Callable[[], Relaxation] | None = None,
    ) -> None:
        self._function, self._near, self._far = function, near, far
        self._at, self._side, self._below, self._above = at, side, below, above
        self._derivative = derivative

    def __call__(self, x: Tensor) -> Tensor:
        return self._function(x)

    def _sides(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Say where an interval lies on the second function's side alone, and where on the first one's.

        The network compares a rounded product with a threshold: what is closer than that rounding counts as across.
        """
        slack = 8 * torch.finfo(l.dtype).eps * abs(self._at)
        right, left = l > self._at + slack, u < self._at - slack
        return (right, left) if self._side > 0 else (left, right)

    def _kept(self, x: Tensor, *, far: bool) -> Tensor:
        """Move `x` to the second function's side, or to the first one's."""
        return x.clamp(min=self._at) if far == (self._side > 0) else x.clamp(max=self._at)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        beyond, before = self._sides(l, u)
        near = self._near.interval(self._kept(l, far=False), self._kept(u, far=False))
        far = self._far.interval(self._kept(l, far=True), self._kept(u, far=True))
        low, high = torch.minimum(near[0], far[0]), torch.maximum(near[1], far[1])
        return (
            torch.where(beyond, far[0], torch.where(before, near[0], low)),
            torch.where(beyond, far[1], torch.where(before, near[1], high)),
        )

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        beyond, before = self._sides(l, u)
        # Where only the second function counts, the first is not asked for values that may overflow.
        start = torch.where(beyond, self._kept(l, far=False), l)
        end = torch.where(beyond, self._kept(u, far=False), u)
        near = self._near.lines(start, end, lower, upper)
        far = self._far.lines(l, u, lower, upper)
        across = ~(beyond | before)
        below = torch.zeros_like(l) if near.lower_intercept is None else near.lower_intercept
        below = torch.where(across, below - self._below, below)
        above = torch.where(across, near.upper_intercept + self._above, near.upper_intercept)
        far_below = torch.zeros_like(l) if far.lower_intercept is None else far.lower_intercept
        return Lines(
            torch.where(beyond, far.lower_slope, near.lower_slope),
            torch.where(beyond, far_below, below),
            torch.where(beyond, far.upper_slope, near.upper_slope),
            torch.where(beyond, far.upper_intercept, above),
        )

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        beyond, _ = self._sides(l, u)
        return self._near.initial(
            torch.where(beyond, self._kept(l, far=False), l), torch.where(beyond, self._kept(u, far=False), u)
        )

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        beyond, _ = self._sides(l, u)
        return torch.where(beyond, self._far.unresolved(l, u), self._near.unresolved(l, u))

    def differentiate(self) -> Relaxation:
        return super().differentiate() if self._derivative is None else self._derivative()
