"""Sine and cosine."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robustsuite.bounds.operations import Thetas
from robustsuite.bounds.relaxations import derivatives
from robustsuite.bounds.relaxations.curve import Curve
from robustsuite.bounds.relaxations.unary import Lines, Relaxation

_PERIOD = 2 * math.pi
_SINE = Curve(
    "sin",
    torch.sin,
    torch.cos,
    breaks=(math.pi, 2 * math.pi, 3 * math.pi),
    curvature=(-1, 1, -1, 1),
    turns=(0.5 * math.pi, 1.5 * math.pi, 2.5 * math.pi, 3.5 * math.pi),
)


class Sine(Relaxation):
    """sin(x + phase); the interval is moved into [0, 4 pi), and flat lines bound what is wider than a period.

    Args:
        phase: 0 for the sine, pi / 2 for the cosine.
    """

    def __init__(self, phase: float = 0.0) -> None:
        self._phase = phase

    def __call__(self, x: Tensor) -> Tensor:
        return (x + self._phase).sin() if self._phase else x.sin()

    def _moved(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give the ends in [0, 4 pi), how far they were moved, and where the interval is too wide or too far out."""
        moved = _PERIOD * ((l + self._phase) / _PERIOD).floor() - self._phase
        # Far from 0 the move itself rounds: there the range is all that is said.
        wide = (u - l >= _PERIOD - 1e-3) | (torch.maximum(l.abs(), u.abs()) > 1e3)
        safe_l, safe_u = torch.where(wide, 0.0, l - moved), torch.where(wide, 1.0, u - moved)
        return safe_l, safe_u, moved, wide

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        safe_l, safe_u, moved, wide = self._moved(l, u)
        low, high = _SINE.interval(safe_l, safe_u)
        slack = 4 * torch.finfo(l.dtype).eps * (1 + moved.abs())
        return (
            torch.where(wide, -1.0, (low - slack).clamp(min=-1)),
            torch.where(wide, 1.0, (high + slack).clamp(max=1)),
        )

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        safe_l, safe_u, moved, wide = self._moved(l, u)
        lines = _SINE.lines(safe_l, safe_u, lower, upper)
        slack = 4 * torch.finfo(l.dtype).eps * (1 + moved.abs())
        assert lines.lower_intercept is not None
        return Lines(
            torch.where(wide, 0.0, lines.lower_slope),
            torch.where(wide, -1.0, lines.lower_intercept - lines.lower_slope * moved - slack),
            torch.where(wide, 0.0, lines.upper_slope),
            torch.where(wide, 1.0, lines.upper_intercept - lines.upper_slope * moved + slack),
        )

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        safe_l, safe_u, _, _ = self._moved(l, u)
        return _SINE.initial(safe_l, safe_u)

    def differentiate(self) -> Relaxation:
        return Sine(self._phase + math.pi / 2)


TANGENT = Curve(
    "tan",
    torch.tan,
    derivatives.OF_TANGENT,
    breaks=(0.0,),
    curvature=(-1, 1),
    domain=(-math.pi / 2, math.pi / 2),
)
