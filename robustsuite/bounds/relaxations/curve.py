"""Any function of one variable that is piecewise convex or concave, from a description of its pieces.

A line of any slope s bounds the function from above with the intercept max over [l, u] of g(x) - s x. That
maximum lies at an end, at a break between pieces, or inside a concave piece where g'(x) = s, which bisection finds
(g' falls there). So the slope is a free choice, and soundness rests on the intercept alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from robustsuite.bounds.operations import Thetas, no_derivative
from robustsuite.bounds.relaxations.unary import (
    Lines,
    Relaxation,
    check_domain,
    check_overflow,
    is_narrow,
)

_BISECTIONS = 30
_SAMPLES = 33
_TERNARY = 24


@dataclass(frozen=True, slots=True, eq=False)
class Curve(Relaxation):
    """A function with its derivative and its pieces.

    Args:
        name: for messages.
        function: g, elementwise.
        derivative: g', elementwise; at a break either one-sided value. A relaxation, where g' is to be bounded too.
        breaks: rising points where the curvature changes sign or the slope jumps.
        curvature: one more than breaks: +1 where g is convex, -1 concave, 0 straight.
        turns: points where g has a local extremum inside a piece.
        domain: open interval on which g is finite and the description holds.
        closed: whether the ends of the domain belong to it.
        limits: where g jumps: for each break the limits from the left and from the right; empty where it is continuous.
        overflows: whether g is infinite, in floating point, on arguments that networks meet.
    """

    kernel_cancels = True

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    breaks: tuple[float, ...] = ()
    curvature: tuple[int, ...] = (1,)
    turns: tuple[float, ...] = ()
    domain: tuple[float, float] = (-torch.inf, torch.inf)
    closed: bool = False
    limits: tuple[tuple[float, float], ...] = ()
    overflows: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        check_domain(self.name, self.domain, l, u, closed=self.closed)
        values = [self(l), self(u)] + [self(_at(t, l, u)) for t in (*self.turns, *self.breaks)]
        low, high = values[0], values[0]
        for value in values[1:]:
            low, high = torch.minimum(low, value), torch.maximum(high, value)
        for inside, _, limit in self._limits(l, u):
            low = torch.where(inside, low.clamp(max=limit), low)
            high = torch.where(inside, high.clamp(min=limit), high)
        return low, high

    def _limits(self, l: Tensor, u: Tensor) -> Iterator[tuple[Tensor, float, float]]:
        """Give where a jump lies in [l, u], its point and one of the two limits there, for all of them."""
        for point, ends in zip(self.breaks, self.limits, strict=bool(self.limits)):
            # As a number of the interval's type: rounded, the point may lie outside of it.
            slack = 4 * torch.finfo(l.dtype).eps * abs(point)
            inside = (l <= point + slack) & (u >= point - slack)
            for limit in ends:
                yield inside, point, limit

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        if self.overflows and lower is None and upper is None:
            check_overflow(self.name, self.function, l, u)
        narrow = is_narrow(l, u)
        upper_slope, upper_intercept = self._line(l, u, narrow, upper, 1)
        lower_slope, lower_intercept = self._line(l, u, narrow, lower, -1)
        return Lines(lower_slope, lower_intercept, upper_slope, upper_intercept)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        def choice(side: int) -> Tensor:
            steep, flat = self._range(l, u, side)
            slope, room = self._default_slope(l, u, steep, flat, side), steep - flat
            apart = room != 0  # below, the steepest slope is the least
            return torch.where(apart, (slope - flat) / torch.where(apart, room, 1.0), 0.5).clamp(0, 1)

        if self.overflows:
            check_overflow(self.name, self.function, l, u)
        with torch.no_grad():
            return Thetas(lower=choice(-1), upper=choice(1))

    def differentiate(self) -> Relaxation:
        if not isinstance(self.derivative, Relaxation):
            raise no_derivative(self.name)
        return self.derivative

    def _line(
        self, l: Tensor, u: Tensor, narrow: Tensor, choice: Tensor | None, side: int
    ) -> tuple[Tensor, Tensor]:
        """Give slope and intercept of the line above (side 1) or below (side -1).

        Below: the mirrored problem, the line above -g, negated at the end.
        """
        with torch.no_grad():
            steep, flat = self._range(l, u, side)
            if choice is None:
                slope = self._default_slope(l, u, steep, flat, side)
        if choice is not None:
            slope = flat + choice * (steep - flat)
        slope = torch.where(narrow, 0.0, slope)
        return slope, side * self._intercept(l, u, slope, side)

    def _intercept(self, l: Tensor, u: Tensor, slope: Tensor, side: int) -> Tensor:
        """Give max over [l, u] of side * (g(x) - slope x)."""

        def height(x: Tensor) -> Tensor:
            return side * (self(x) - slope * x)

        best = torch.maximum(height(l), height(u))
        for point in self.breaks:
            best = torch.maximum(best, height(_at(point, l, u)))
        for inside, point, limit in self._limits(l, u):
            best = torch.where(inside, torch.maximum(best, side * (limit - slope * _at(point, l, u))), best)
        edges = (-torch.inf, *self.breaks, torch.inf)
        for piece, bend in enumerate(self.curvature):
            if side * bend < 0:
                begin = torch.clamp(_at(edges[piece], l, u), max=edges[piece + 1])
                begin, end = torch.minimum(torch.maximum(begin, l), u), _at(edges[piece + 1], l, u)
                best = torch.maximum(best, self._peak(begin, torch.maximum(begin, end), slope, side))
        return best

    def _peak(self, begin: Tensor, end: Tensor, slope: Tensor, side: int) -> Tensor:
        """Bound max over [begin, end] of side * (g(x) - slope x) where that is concave."""
        with torch.no_grad():
            low, high = begin, end
            for _ in range(_BISECTIONS):
                middle = (low + high) / 2
                rises = side * (self.derivative(middle) - slope) > 0
                low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
        # A concave function stays below its tangent at the bracket's left end.
        value = side * (self(low) - slope * low)
        rate = (side * (self.derivative(low) - slope)).clamp(min=0)
        return value + (rate * (high - low)).nan_to_num(0.0, 0.0, 0.0)

    def _range(self, l: Tensor, u: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """Give the slopes of the concave envelope of side * g at l and at u, times side: the useful slopes."""
        x, y = self._samples(l, u, side)
        inner = x[1:] - x[0]
        safe = torch.where(inner > 0, inner, 1.0)
        at_l = torch.where(inner > 0, (y[1:] - y[0]) / safe, -torch.inf).amax(0)
        back = x[-1] - x[:-1]
        safe = torch.where(back > 0, back, 1.0)
        at_u = torch.where(back > 0, (y[-1] - y[:-1]) / safe, torch.inf).amin(0)
        at_l, at_u = (torch.where(s.isfinite(), s, 0.0) for s in (at_l, at_u))
        return side * at_l, side * at_u

    def _samples(self, l: Tensor, u: Tensor, side: int) -> tuple[Tensor, Tensor]:
        grid = torch.linspace(0, 1, _SAMPLES, dtype=l.dtype, device=l.device).view(-1, *(1,) * l.dim())
        x = l + grid * (u - l)
        x[-1] = u
        return x, side * self(x)

    def _default_slope(self, l: Tensor, u: Tensor, steep: Tensor, flat: Tensor, side: int) -> Tensor:
        """Give the slope whose line is lowest at the middle: the supporting line of the envelope there."""
        x, y = self._samples(l, u, side)
        offset = x - (l + u) / 2
        low, high = torch.minimum(side * steep, side * flat), torch.maximum(side * steep, side * flat)
        for _ in range(_TERNARY):
            first, second = low + (high - low) / 3, high - (high - low) / 3
            worse = (y - first * offset).amax(0) > (y - second * offset).amax(0)
            low, high = torch.where(worse, first, low), torch.where(worse, high, second)
        return side * (low + high) / 2


def _at(point: float, l: Tensor, u: Tensor) -> Tensor:
    """Give the point, moved into [l, u]."""
    return torch.minimum(torch.maximum(torch.full_like(l, point), l), u)
