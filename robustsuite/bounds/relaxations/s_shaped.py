"""S-shaped functions: convex left of 0, concave right of it, odd about their value at 0 (tanh, sigmoid)."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        if (
            lower is None
            and upper is None
            and torch.is_grad_enabled()
            and (l.requires_grad or u.requires_grad)
        ):
            return Lines(*_DefaultLines.apply(self, l, u))  # type: ignore[no-untyped-call]
        choice = None
        if lower is not None and upper is not None:
            choice = torch.stack(torch.broadcast_tensors(upper, lower))
        slope, intercept = self._above(torch.stack([l, -u]), torch.stack([u, -l]), choice)
        # The constant h0 is counted twice by the mirror.
        return Lines(slope[1], 2 * self.at_zero - intercept[1], slope[0], intercept[0])

    def bend(self, x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """Give the second derivative at x, where the function and its first derivative are known."""
        return self.second_derivative(x)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        return Thetas(lower=self._default_choice(-u, -l), upper=self._default_choice(l, u))

    def _default_choice(self, l: Tensor, u: Tensor) -> Tensor:
        first = torch.where(l >= 0, l, torch.minimum(self.touching_point(l), u))
        room = u - first
        middle = ((l + u) / 2 - first).clamp(min=0)
        return torch.where(room > 0, middle / torch.where(room > 0, room, 1.0), 0.0).clamp(0, 1)


class _DefaultLines(torch.autograd.Function):
    """The default lines, with their derivatives by the ends written out: much shorter than a recorded graph.

    Of both lines (above on [l, u], and above on [-u, -l] for the mirror image) slope s and intercept i move by
    ``ds = jl dl + ju du`` and ``di = -q ds + e du``, with q the point where the line meets h: u for a chord, else where the
    tangent touches.
    """

    @staticmethod
    def forward(ctx: Any, h: SShaped, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        l, u = torch.stack([l, -u]), torch.stack([u, -l])
        touching = h.touching_point(l)
        before_0, short = l < 0, touching < u
        first = torch.where(before_0, torch.minimum(touching, u), l)
        middle = (l + u) / 2
        by_middle = middle > first
        point = torch.where(by_middle, middle, first)
        (at_point, tangent), (at_l, slope_l), (at_u, slope_u) = (
            h.value_and_slope(at) for at in (point, l, u)
        )
        narrow = is_narrow(l, u)
        # See `_above`.
        crossing = before_0 & ~short & (at_u + slope_u * (l - u) < at_l)
        by_chord = (u <= 0) | crossing | narrow
        inverse = torch.where(narrow, 0.0, 1 / torch.where(narrow, 1.0, u - l))
        steep = chord(l, u, at_l, at_u, narrow)
        q = torch.where(by_chord, u, point)
        slope = torch.where(by_chord, steep, tangent)
        intercept = torch.where(by_chord, at_u, at_point) - slope * q

        bend = h.bend(point, at_point, tangent)
        back = l - point
        # The tangent that passes (l, h(l)), by the implicit function theorem.
        turned = torch.where(bend * back > 0, (slope_l - tangent) / torch.where(back < 0, back, -1.0), 0.0)
        jl = torch.where(before_0, torch.where(short, turned, 0.0), bend)
        ju = torch.where(before_0 & ~short, bend, 0.0)
        jl, ju = torch.where(by_middle, bend / 2, jl), torch.where(by_middle, bend / 2, ju)
        e = torch.where(by_chord, slope_u - steep, 0.0)
        jl = torch.where(by_chord, (steep - slope_l) * inverse, jl)
        ju = torch.where(by_chord, e * inverse, ju)
        ctx.save_for_backward(q, jl, ju, e)
        # The constant h0 is counted twice by the mirror.
        return slope[1], 2 * h.at_zero - intercept[1], slope[0], intercept[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        q, jl, ju, e = ctx.saved_tensors
        of_slope, of_intercept = (
            torch.stack([gradients[2], gradients[0]]),
            torch.stack([gradients[3], -gradients[1]]),
        )
        moved = torch.addcmul(of_slope, q, of_intercept, value=-1)
        by_l, by_u = moved * jl, torch.addcmul(moved * ju, of_intercept, e)
        return None, by_l[0] - by_u[1], by_u[0] - by_l[1]


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

    def bend(self, x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        return -2 * value * slope

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

    def bend(self, x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        return slope * (1 - 2 * value)

    def second_derivative(self, x: Tensor) -> Tensor:
        s = x.sigmoid()
        return s * (1 - s) * (1 - 2 * s)

    def differentiate(self) -> Relaxation:
        return derivatives.OF_SIGMOID
