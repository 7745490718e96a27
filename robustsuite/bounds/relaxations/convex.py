"""Functions that are convex, or concave, on their whole domain: a chord on one side, a tangent on the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from robustsuite.bounds.operations import Thetas, no_derivative
from robustsuite.bounds.relaxations.unary import (
    Lines,
    Relaxation,
    check_domain,
    check_overflow,
    chord,
    is_narrow,
)


@dataclass(frozen=True, slots=True, eq=False)
class Convex(Relaxation):
    """A convex function: the chord bounds it from above, a tangent anywhere in [l, u] (the free choice) from below.

    Args:
        name: for messages.
        function: g, elementwise.
        derivative: g', elementwise. A relaxation, where g' is to be bounded too.
        sign: +1 where g is convex, -1 where it is concave (then the sides change places).
        least: where a convex g is least, if inside its domain (a concave g: greatest).
        domain: open interval on which g is finite.
        closed: whether the ends of the domain belong to it.
        reach: the default tangent touches at the middle, but at most this far right of l.
        overflows: whether g is infinite, in floating point, on arguments that networks meet.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    sign: int = 1
    least: float | None = None
    domain: tuple[float, float] = (-torch.inf, torch.inf)
    closed: bool = False
    reach: float = torch.inf
    overflows: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        check_domain(self.name, self.domain, l, u, closed=self.closed)
        return self._range(l, u)

    def _range(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        at_l, at_u = self(l), self(u)
        low_end, high_end = torch.minimum(at_l, at_u), torch.maximum(at_l, at_u)
        if self.least is not None:
            inner = self(torch.minimum(torch.maximum(torch.full_like(l, self.least), l), u))
            low_end, high_end = torch.minimum(low_end, inner), torch.maximum(high_end, inner)
        return low_end, high_end

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        if lower is None and upper is None:
            self._check_overflow(l, u)
        choice = lower if self.sign > 0 else upper
        point = self._middle(l, u) if choice is None else l + choice * (u - l)
        # At the border of its domain a function may be vertical: no tangent touches there.
        point = torch.where(self.derivative(point.detach()).isfinite(), point, self._middle(l, u))
        narrow = is_narrow(l, u)
        at_l, at_u = self(l), self(u)
        slope = torch.where(narrow, 0.0, self.derivative(point))
        # Where the interval is narrow the function is bounded by its range.
        low, high = self._range(l, u)
        inner = torch.where(narrow, low if self.sign > 0 else high, self(point) - slope * point)
        across = chord(l, u, at_l, at_u, narrow)
        outer = torch.where(narrow, high if self.sign > 0 else low, at_l - across * l)
        if self.sign > 0:
            return Lines(slope, inner, across, outer)
        return Lines(across, outer, slope, inner)

    def differentiate(self) -> Relaxation:
        if not isinstance(self.derivative, Relaxation):
            raise no_derivative(self.name)
        return self.derivative

    def _middle(self, l: Tensor, u: Tensor) -> Tensor:
        return torch.minimum((l + u) / 2, l + self.reach)

    def _check_overflow(self, l: Tensor, u: Tensor) -> None:
        # A wait for the device: so once for an interval, not at each step of an optimiser.
        if self.overflows:
            check_overflow(self.name, self.function, l, u)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        self._check_overflow(l, u)
        room = u - l
        choice = torch.where(room > 0, (self._middle(l, u) - l) / torch.where(room > 0, room, 1.0), 0.5)
        return Thetas(lower=choice) if self.sign > 0 else Thetas(upper=choice)
