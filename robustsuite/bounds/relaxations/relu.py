"""ReLU and leaky ReLU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.linear_form import Dense, LinearForm
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

    def differentiable(self, form: LinearForm, ends: Bounds) -> tuple[Tensor, Tensor] | None:
        if self._slope or not isinstance(form, Dense) or form.rows is not None:
            return None
        flat = form.a.flatten(2)
        slope, constant = _ReLUPlanes.apply(  # type: ignore[no-untyped-call]
            flat, ends.lower.flatten(1), ends.upper.flatten(1)
        )
        return slope.view(len(slope), *form.a.shape[1:]), constant

    def differentiate(self) -> Relaxation:
        return Jump(0.0, Constant(self._slope), Constant(1.0))


class _ReLUPlanes(torch.autograd.Function):
    """What `Unary.backward` computes by ReLU's default lines, with a gradient in few passes over memory.

    With a the coefficients (rows or 1, specs, n) and l, u the interval (rows, n), s = u / (u - l) and t = -l s on the
    unstable entries: a goes to a c where it is positive (c in {0, 1} the lower slope) and to a s elsewhere, where it
    adds a t to the constant.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        l, u = l.clamp(max=0), u.clamp(min=0)
        inverse = (u - l).clamp_(min=torch.finfo(l.dtype).tiny).reciprocal_()
        s = u * inverse
        falling = a.clamp(max=0)
        constant = torch.matmul(falling, (-l * s).unsqueeze(2)).squeeze(2)
        chosen = (u >= -l).unsqueeze(1)
        # rising part times the lower slope, falling part times the upper one
        out = torch.addcmul((a - falling) * chosen, falling, s.unsqueeze(1))
        ctx.save_for_backward(a, l, u, inverse)
        return out, constant

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d_out, d_constant = gradients
        a, l, u, inverse = ctx.saved_tensors
        s, chosen, down = u * inverse, (u >= -l).to(a.dtype), a < 0
        d_constant = d_constant.unsqueeze(2)
        lower, upper = chosen.unsqueeze(1), s.unsqueeze(1)
        d_a = torch.where(
            down, torch.addcmul(d_constant * (-l * s).unsqueeze(1), d_out, upper), d_out * lower
        )
        falling = a.clamp(max=0)
        d_s, d_t = (falling * d_out).sum(1), (falling * d_constant).sum(1)
        square = inverse * inverse * ((l < 0) & (u > 0))
        d_l = square * u * (d_s - u * d_t)
        d_u = square * l * (l * d_t - d_s)
        if len(a) < len(d_a):
            d_a = d_a.sum(0, keepdim=True)
        return d_a, d_l, d_u
