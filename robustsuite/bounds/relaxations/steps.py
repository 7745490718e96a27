"""Functions with jumps: sign, floor, remainders, comparisons with a constant, derivatives of functions with kinks."""

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


class Staircase(Relaxation):
    """A rising function of whole steps that keeps near to x (floor, ceil, round), or flat where [l, u] holds one value.

    Args:
        function: the function.
        below, above: x + below <= function(x) <= x + above.
        rounded: whether x may be off by its rounding (a quotient), so that near a step both values count.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], below: float, above: float, *, rounded: bool = False
    ) -> None:
        self._function, self._below, self._above, self._rounded = function, below, above, rounded

    def __call__(self, x: Tensor) -> Tensor:
        return self._function(x)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        slack = self._slack(l, u)
        return self(l - slack), self(u + slack)

    def _slack(self, l: Tensor, u: Tensor) -> Tensor:
        units = 4.0 if self._rounded else 0.0
        return units * torch.finfo(l.dtype).eps * torch.maximum(l.abs(), u.abs())

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        low, high = self.interval(l, u)
        slack, constant = self._slack(l, u), low == high
        slope = torch.where(constant, 0.0, 1.0).to(l.dtype)
        return Lines(
            slope,
            torch.where(constant, low, self._below - slack),
            slope,
            torch.where(constant, high, self._above + slack),
        )


FLOOR = Staircase(torch.floor, -1.0, 0.0)
CEIL = Staircase(torch.ceil, 0.0, 1.0)
ROUND = Staircase(torch.round, -0.5, 0.5)
TRUNC = Staircase(torch.trunc, -1.0, 1.0)
# Of quotients and of numbers moved by a power of ten.
FLOOR_OF_ROUNDED = Staircase(torch.floor, -1.0, 0.0, rounded=True)
TRUNC_OF_ROUNDED = Staircase(torch.trunc, -1.0, 1.0, rounded=True)
ROUND_OF_ROUNDED = Staircase(torch.round, -0.5, 0.5, rounded=True)


class Sawtooth(Relaxation):
    """What is left of x by a division: exact where [l, u] lies on one tooth, else the whole tooth.

    Args:
        divisor: constant, not 0, of the example's shape or a single number.
        floored: whether the quotient is rounded down (`torch.remainder`) or towards zero (`torch.fmod`).
    """

    def __init__(self, divisor: Tensor | float, *, floored: bool) -> None:
        self._divisor, self._floored = divisor, floored

    def __call__(self, x: Tensor) -> Tensor:
        divisor = self._of(x)
        return torch.remainder(x, divisor) if self._floored else torch.fmod(x, divisor)

    def _of(self, x: Tensor) -> Tensor:
        divisor = torch.as_tensor(self._divisor, dtype=x.dtype, device=x.device)
        return divisor if self._floored else divisor.abs()

    def _teeth(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give the ends of all values, where one tooth is met, and what it takes off."""
        divisor = self._of(l)
        tiny = torch.finfo(l.dtype).tiny
        first, last = (
            # What underflows keeps its sign: it lies on the tooth before, or after.
            torch.where((x / divisor == 0) & (x != 0), tiny * x.sign() * divisor.sign(), x / divisor)
            for x in (l, u)
        )
        first, last = torch.minimum(first, last), torch.maximum(first, last)
        slack = 4 * torch.finfo(l.dtype).eps * torch.maximum(first.abs(), last.abs())
        whole = torch.floor if self._floored else torch.trunc
        quotient = whole(first - slack)
        one = quotient == whole(last + slack)
        zero = torch.zeros_like(l)
        if self._floored:
            low, high = torch.minimum(divisor, zero), torch.maximum(divisor, zero)
        else:
            low = torch.where(l < 0, -torch.minimum(divisor, -l), zero)
            high = torch.where(u > 0, torch.minimum(divisor, u), zero)
        return low, high, one, divisor * quotient

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        low, high, one, off = self._teeth(l, u)
        return torch.where(one, l - off, low), torch.where(one, u - off, high)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        low, high, one, off = self._teeth(l, u)
        slope = one.to(l.dtype)
        return Lines(slope, torch.where(one, -off, low), slope, torch.where(one, -off, high))


class IsZero(Relaxation):
    """1 at 0, else 0: known where the interval is 0 alone, or does not hold it."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x == 0).to(x.dtype)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        return ((l == 0) & (u == 0)).to(l.dtype), ((l <= 0) & (u >= 0)).to(l.dtype)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        flat = torch.zeros_like(l)
        low, high = self.interval(l, u)
        return Lines(flat, low, flat, high)
