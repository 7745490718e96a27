"""S-shaped functions: convex left of 0, concave right of it, odd about their value at 0 (tanh, sigmoid)."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from robustsuite.bounds.operations import Thetas
from robustsuite.bounds.relaxations import derivatives
from robustsuite.bounds.relaxations.unary import Lines, Relaxation, chord, is_narrow

_BISECTIONS = 60  # in float64, for the table
_NODES = 2048
_TABLE_TO = math.log1p(1e4)  # the table reaches to l = -1e4
_SLACK = 1e-5  # relative, far above the error of linear interpolation between the nodes


class SShaped(Relaxation):
    """A rising function h(x) + h0 with h odd, convex on x <= 0 and concave on x >= 0.

    From above on [l, u]: where l >= 0 a tangent; where u <= 0 the chord; else the tangent through the left end if
    it touches before u, or any tangent further right, or the chord. Where the tangent touches is the free
    choice, by default as near to the middle as is sound. From below: the mirror image.

    Source: Zhang et al. 2018 (CROWN), section 3.3; Xu et al. 2020, appendix.

    Attributes:
        at_zero: h0.
    """

    at_zero: ClassVar[float] = 0.0

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """Give the first derivative."""

    @abstractmethod
    def second_derivative(self, x: Tensor) -> Tensor:
        """Give the second derivative."""

    def touching_point(self, l: Tensor) -> Tensor:
        """Give for l < 0 the d >= 0 whose tangent passes through (l, h(l)), or a little more, never less.

        At any greater point the tangent lies above h at l, so rounding to the right is safe.
        """
        with torch.no_grad():
            start = l.clamp(max=0)
            table, step = _touching_table(type(self), l.device, l.dtype)
            place = torch.log1p(-start) / step
            left = place.floor().clamp(max=_NODES - 2)
            at = left.long()
            near = torch.lerp(table[at], table[at + 1], place - left) * (1 + _SLACK)
            # h is odd, so d <= -l always.
            high = torch.where(place < _NODES - 1, torch.minimum(near, -start), -start)
        if not l.requires_grad:
            return high
        # The derivative of d by l, by the implicit function theorem; the value stays.
        gap = self(high) + self.derivative(high) * (l.clamp(max=0) - high) - self(l.clamp(max=0))
        change = self.second_derivative(high) * (start - high)
        correction = torch.where(change > 0, gap / torch.where(change > 0, change, 1.0), 0.0)
        return high - correction + correction.detach()

    def value_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give the function and its first derivative."""
        return self(x), self.derivative(x)

    def _above(self, l: Tensor, u: Tensor, choice: Tensor | None) -> tuple[Tensor, Tensor]:
        """Give slope and intercept of the line above."""
        touching = self.touching_point(l)
        first = torch.where(l >= 0, l, torch.minimum(touching, u))
        point = torch.maximum(first, (l + u) / 2) if choice is None else first + choice * (u - first)
        at_point, tangent = self.value_and_slope(point)
        at_l = self(l)
        at_u, slope_u = self.value_and_slope(u)
        narrow = is_narrow(l, u)
        # Far out the touching point is only known to be no further right: the tangent at u says whether it is.
        before = at_u + slope_u * (l - u) < at_l
        by_chord = (u <= 0) | ((l < 0) & (touching >= u) & before) | narrow
        slope = torch.where(by_chord, chord(l, u, at_l, at_u, narrow), tangent)
        return slope, torch.where(by_chord, at_u - slope * u, at_point - tangent * point)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        # With h odd, h(x) >= -line(-x): the line below is the mirror image of one above. Both are made at once.
        choice = None
        if lower is not None and upper is not None:
            choice = torch.stack(torch.broadcast_tensors(upper, lower))
        slope, intercept = self._above(torch.stack([l, -u]), torch.stack([u, -l]), choice)
        # The constant h0 is counted twice by the mirror.
        return Lines(slope[1], 2 * self.at_zero - intercept[1], slope[0], intercept[0])

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        return Thetas(lower=self._default_choice(-u, -l), upper=self._default_choice(l, u))

    def _default_choice(self, l: Tensor, u: Tensor) -> Tensor:
        first = torch.where(l >= 0, l, torch.minimum(self.touching_point(l), u))
        room = u - first
        middle = ((l + u) / 2 - first).clamp(min=0)
        return torch.where(room > 0, middle / torch.where(room > 0, room, 1.0), 0.0).clamp(0, 1)


@lru_cache(maxsize=16)
def _touching_table(kind: type[SShaped], device: torch.device, dtype: torch.dtype) -> tuple[Tensor, float]:
    """Give touching points at left ends whose log(1 - l) are evenly spaced, and that spacing."""
    function = kind()
    step = _TABLE_TO / (_NODES - 1)
    start = -torch.expm1(step * torch.arange(_NODES, dtype=torch.float64))
    value = function(start)
    low, high = torch.zeros_like(start), -start
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        passes = function(middle) + function.derivative(middle) * (start - middle) >= value
        low, high = torch.where(passes, low, middle), torch.where(passes, middle, high)
    return high.to(device, dtype), step


class Tanh(SShaped):
    """The hyperbolic tangent."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanh()

    def derivative(self, x: Tensor) -> Tensor:
        return 1 - x.tanh().square()

    def value_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = x.tanh()
        return t, 1 - t.square()

    def second_derivative(self, x: Tensor) -> Tensor:
        t = x.tanh()
        return -2 * t * (1 - t * t)

    def differentiate(self) -> Relaxation:
        return derivatives.OF_TANH


class Sigmoid(SShaped):
    """The logistic function."""

    kernel_cancels = True
    at_zero = 0.5

    def __call__(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def derivative(self, x: Tensor) -> Tensor:
        s = x.sigmoid()
        return s * (1 - s)

    def value_and_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        s = x.sigmoid()
        return s, s * (1 - s)

    def second_derivative(self, x: Tensor) -> Tensor:
        s = x.sigmoid()
        return s * (1 - s) * (1 - 2 * s)

    def differentiate(self) -> Relaxation:
        return derivatives.OF_SIGMOID
