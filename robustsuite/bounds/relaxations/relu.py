"""ReLU and leaky ReLU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.program import Thetas
from robustsuite.bounds.relaxations.steps import Constant, Jump
from robustsuite.bounds.relaxations.unary import Lines, Relaxation


class ReLU(Relaxation):
    """max(x, slope x) with 0 <= slope < 1.

    On an unstable interval (l < 0 < u) the chord bounds from above, and any line through the origin with a slope
    in [slope, 1] from below: the free choice. By default the one with the smaller area.

    Source: Zhang et al. 2018 (CROWN), section 3.3 and table 2, adaptive case.
    """

    def __init__(self, slope: float = 0.0) -> None:
        self._slope = slope

    def __call__(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self._slope) if self._slope else functional.relu(x)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        # With l and u cut at 0, the formulas of the unstable case hold for the stable ones too.
        below, above = l.clamp(max=0), u.clamp(min=0)
        chord = above / (above - below).clamp(min=torch.finfo(l.dtype).tiny)
        if lower is None:
            choice = (above >= -below).to(l.dtype)
        else:
            choice = torch.where(l >= 0, 1.0, torch.where(u <= 0, 0.0, lower))
        intercept = -below * chord
        if self._slope:
            chord = self._slope + (1 - self._slope) * chord
            choice = self._slope + (1 - self._slope) * choice
            intercept = (1 - self._slope) * intercept
        return Lines(choice, None, chord, intercept)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        return Thetas(lower=(u >= -l).to(l.dtype))

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        return (l < 0) & (u > 0)

    def differentiate(self) -> Relaxation:
        return Jump(0.0, Constant(self._slope), Constant(1.0))
