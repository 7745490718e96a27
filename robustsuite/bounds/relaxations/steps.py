"""Functions with jumps: sign, floor, comparisons with a constant, derivatives of functions with kinks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from robustsuite.bounds.relaxations.unary import Lines, Relaxation


class Flat(Relaxation):
    """A rising function that is bounded by flat lines at its values at the ends (sign, comparisons)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def __call__(self, x: Tensor) -> Tensor:
        return self._function(x)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        flat = torch.zeros_like(l)
        return Lines(flat, self(l), flat, self(u))


class Constant(Relaxation):
    """The same value everywhere."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __call__(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self._value)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        flat, value = torch.zeros_like(l), self(l)
        return Lines(flat, value, flat, value)

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        return torch.zeros_like(l, dtype=torch.bool)


class Jump(Relaxation):
    """One function left of a point, another one right of it: the derivative of a function with a kink there.

    At the point itself it may be anything between the two (Clarke's generalised derivative), so both sides count
    on an interval that ends there. On an interval that holds the point the lines are flat.

    Args:
        at: the point.
        left, right: the functions; their values count where they are reached, and at the point.
    """

    def __init__(self, at: float, left: Relaxation, right: Relaxation) -> None:
        self._at, self._left, self._right = at, left, right

    def __call__(self, x: Tensor) -> Tensor:
        return torch.where(
            x > self._at, self._right(x.clamp(min=self._at)), self._left(x.clamp(max=self._at))
        )

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        left = self._left.interval(l.clamp(max=self._at), u.clamp(max=self._at))
        right = self._right.interval(l.clamp(min=self._at), u.clamp(min=self._at))
        low, high = torch.minimum(left[0], right[0]), torch.maximum(left[1], right[1])
        beyond, before = l > self._at, u < self._at
        return (
            torch.where(beyond, right[0], torch.where(before, left[0], low)),
            torch.where(beyond, right[1], torch.where(before, left[1], high)),
        )

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        left = self._left.lines(l.clamp(max=self._at), u.clamp(max=self._at), lower, upper)
        right = self._right.lines(l.clamp(min=self._at), u.clamp(min=self._at), lower, upper)
        low, high = self.interval(l, u)
        beyond, before = l > self._at, u < self._at

        def pick(for_left: Tensor | None, for_right: Tensor | None, across: Tensor) -> Tensor:
            first = torch.zeros_like(low) if for_left is None else for_left
            second = torch.zeros_like(low) if for_right is None else for_right
            return torch.where(beyond, second, torch.where(before, first, across))

        return Lines(
            pick(left.lower_slope, right.lower_slope, torch.zeros_like(low)),
            pick(left.lower_intercept, right.lower_intercept, low),
            pick(left.upper_slope, right.upper_slope, torch.zeros_like(low)),
            pick(left.upper_intercept, right.upper_intercept, high),
        )

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        across = (l <= self._at) & (u >= self._at) & (l < u)
        left = (u < self._at) & self._left.unresolved(l, u)
        return across | left | ((l > self._at) & self._right.unresolved(l, u))


class Floor(Relaxation):
    """The greatest whole number not above x: between x - 1 and x, or flat where [l, u] holds one value."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.floor()

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        constant = self(l) == self(u)
        slope = torch.where(constant, 0.0, 1.0).to(l.dtype)
        low = torch.where(constant, self(l), -1.0)
        high = torch.where(constant, self(l), 0.0)
        return Lines(slope, low, slope, high)
