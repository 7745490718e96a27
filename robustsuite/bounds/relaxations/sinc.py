"""sin(pi x) / (pi x): piece by piece near 0, and by its envelope far out."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from robustsuite.bounds.operations import Thetas
from robustsuite.bounds.relaxations.curve import Curve
from robustsuite.bounds.relaxations.unary import Lines, Relaxation

_REACH = 4.5  # so far from 0 the pieces are listed; beyond, the function lies within 1 / (pi |x|)
_SMALL = 1e-2  # of pi x, below which the derivative's own formula cancels


def _roots(function: Callable[[float], float], shift: float) -> list[float]:
    """Give the positive roots, one in each [(k - shift) pi, (k + 1 - shift) pi], that belong to |x| <= the reach."""
    found = []
    for k in range(1, math.ceil(_REACH) + 2):
        low, high = (k - shift) * math.pi, (k + 1 - shift) * math.pi
        rising = function(low) < 0
        for _ in range(100):
            middle = (low + high) / 2
            if (function(middle) < 0) == rising:
                low = middle
            else:
                high = middle
        if low / math.pi < _REACH:
            found.append(low / math.pi)
    return found


def _slope(x: Tensor) -> Tensor:
    t = math.pi * x
    safe = torch.where(t.abs() < _SMALL, 1.0, t)
    return math.pi * torch.where(
        t.abs() < _SMALL, -t / 3 * (1 - t * t / 10), (safe.cos() - safe.sin() / safe) / safe
    )


def _curve() -> Curve:
    # sinc'' = 0 where (t^2 - 2) sin t + 2 t cos t = 0, sinc' = 0 where sin t = t cos t, with t = pi x.
    bends = _roots(lambda t: (t * t - 2) * math.sin(t) + 2 * t * math.cos(t), 0.5)
    turns = _roots(lambda t: math.sin(t) - t * math.cos(t), 0.0)
    count = 2 * len(bends) + 1
    middle = len(bends)  # the piece around 0 is concave, and they take turns
    curvature = tuple(-1 if (piece - middle) % 2 == 0 else 1 for piece in range(count))
    both = (*(-b for b in reversed(bends)), *bends)
    return Curve("sinc", torch.sinc, _slope, both, curvature, (0.0, *turns, *(-t for t in turns)))


_CURVE = _curve()


def _is_far(l: Tensor, u: Tensor) -> Tensor:
    return torch.maximum(l.abs(), u.abs()) > _REACH


def _inner(l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    return l.clamp(-_REACH, _REACH), u.clamp(-_REACH, _REACH)


class Sinc(Relaxation):
    """The normalised sinc function; flat lines bound it on an interval that reaches far out."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.sinc()

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        far = _is_far(l, u)
        low, high = _CURVE.interval(*_inner(l, u))
        nearest = torch.where(l > 0, l, torch.where(u < 0, -u, 0.0)).clamp(min=_REACH)
        most = 1 / (math.pi * nearest)
        only = nearest > _REACH  # no part of it lies near 0
        return (
            torch.where(only, -most, torch.where(far, torch.minimum(low, -most), low)),
            torch.where(only, most, torch.where(far, torch.maximum(high, most), high)),
        )

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        far = _is_far(l, u)
        near = _CURVE.lines(*_inner(l, u), lower, upper)
        low, high = self.interval(l, u)
        assert near.lower_intercept is not None
        return Lines(
            torch.where(far, 0.0, near.lower_slope),
            torch.where(far, low, near.lower_intercept),
            torch.where(far, 0.0, near.upper_slope),
            torch.where(far, high, near.upper_intercept),
        )

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        return _CURVE.initial(*_inner(l, u))
