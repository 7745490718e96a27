"""ReLU and leaky ReLU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm
from robustsuite.bounds.operations import Thetas
from robustsuite.bounds.relaxations.steps import Constant, Jump
from robustsuite.bounds.relaxations.unary import Lines, Relaxation
from robustsuite.perturbations.norms import flat
from robustsuite.tiles import is_one_tile, row_tiles

aten = torch.ops.aten


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

    def range(self, ends: Bounds) -> Bounds:
        if self._slope or not ends.is_centered:
            return Bounds(self(ends.lower), self(ends.upper))
        total, width = ends.sum_and_width()
        if is_one_tile(total):
            low, high = (total - width).relu_(), (total + width).relu_()  # twice the ends
            middle = torch.lerp(low, high, 0.5)
            return Bounds.centered(middle, middle - low)
        return Bounds.centered(*_Rectified.apply(total, width))  # type: ignore[no-untyped-call]

    def differentiable(self, form: LinearForm, ends: Bounds) -> tuple[Tensor, Tensor] | None:
        if self._slope or not isinstance(form, Dense) or form.rows is not None:
            return None
        total, width = ends.sum_and_width()
        slope, constant = _ReLUPlanes.apply(form.a, total, width)  # type: ignore[no-untyped-call]
        return slope, constant

    def differentiate(self) -> Relaxation:
        return Jump(0.0, Constant(self._slope), Constant(1.0))


class _Rectified(torch.autograd.Function):
    """Sum and width of [relu(l), relu(u)] from those of [l, u], in one trip to memory."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        total_out, width_out = torch.empty_like(total), torch.empty_like(width)
        for t, w, to, wo in row_tiles(total, width, total_out, width_out):
            low, high = (t - w).relu_(), (t + w).relu_()  # twice the ends
            torch.sub(torch.lerp(low, high, 0.5, out=to), low, out=wo)
        ctx.save_for_backward(total_out, width_out)
        return total_out, width_out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        d_total, d_width = torch.empty_like(gradients[0]), torch.empty_like(gradients[1])
        for to, wo, d_to, d_wo, d_t, d_w in row_tiles(*ctx.saved_tensors, *gradients, d_total, d_width):
            # The upper end is positive where the sum is, the lower one where the sum exceeds the width.
            low = aten.threshold_backward(d_to - d_wo, to - wo, 0.0)
            high = aten.threshold_backward(d_to + d_wo, to, 0.0)
            torch.sub(torch.lerp(low, high, 0.5, out=d_t), low, out=d_w)
        return d_total, d_width


class _ReLUPlanes(torch.autograd.Function):
    """What `Unary.backward` computes by ReLU's default lines, with a gradient, in one trip to memory.

    With a the coefficients (rows or 1, specs, *shape) and [l, u] the interval (rows, *shape), given by sum and width,
    s = u / (u - l) and t = -l s on the unstable entries: a goes to a c where it is positive (c in {0, 1} the lower slope)
    and to a s elsewhere, where it adds a t to the constant.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, total: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        out = torch.empty_like(a.expand(len(total), *a.shape[1:]))
        constant = a.new_empty(out.shape[:2])
        for o, here, t, w, c in row_tiles(out, a.expand_as(out), total, width, constant):
            below, above, inverse = _parts(t, w)
            slope = inverse.mul_(above).unsqueeze(1)
            falling = here.clamp(max=0)
            # The lower slope is 1 where l + u >= 0.
            _where_positive(here.clamp(min=0), t.unsqueeze(1), out=o).addcmul_(falling, slope)
            torch.sum(flat(falling.mul_(below.unsqueeze(1).mul_(slope)), 2), 2, out=c)
        ctx.save_for_backward(a, total, width)
        return out, constant

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d_out, d_constant = gradients
        a, total, width = ctx.saved_tensors
        d_a, d_total, d_width = (torch.empty_like(t) for t in (d_out, total, width))
        constants = d_constant.view(*d_constant.shape, *(1,) * (d_out.dim() - 2))
        for into, adds, here, t, w, d_here, d_t, d_w in row_tiles(
            d_out, constants, a.expand_as(d_out), total, width, d_a, d_total, d_width
        ):
            below, above, inverse = _parts(t, w)
            slope = (above * inverse).unsqueeze(1)
            _where_positive(_where_positive(into, t.unsqueeze(1), out=d_here), here, out=d_here)
            falling = (into * slope).addcmul_(adds, below.unsqueeze(1) * slope)
            d_here.add_(aten.threshold_backward(falling, here.neg(), 0.0))
            negative = here.clamp(max=0)
            d_slope, d_intercept = _over_specs(negative * into), _over_specs(negative.mul_(adds))
            # Of s = u / (u - l) and t = -l s: only where l < 0 < u, where neither factor is 0.
            inverse.square_()
            high = torch.addcmul(d_slope, below, d_intercept).mul_(below).mul_(inverse)
            low = d_slope.addcmul_(above, d_intercept, value=-1).mul_(above).mul_(inverse)
            low, high = aten.threshold_backward(low, below, 0.0), aten.threshold_backward(high, above, 0.0)
            torch.sub(torch.lerp(low, high, 0.5, out=d_t), low, out=d_w)
        return d_a.sum(0, keepdim=True) if len(a) < len(d_a) else d_a, d_total, d_width


def _where_positive(x: Tensor, test: Tensor, *, out: Tensor) -> Tensor:
    """Give x where test >= 0, else 0; `threshold_backward` needs no mask in memory."""
    aten.threshold_backward.grad_input(x, test, -torch.finfo(x.dtype).tiny, grad_input=out)
    return out


def _over_specs(x: Tensor) -> Tensor:
    return x.squeeze(1) if x.shape[1] == 1 else x.sum(1)


def _parts(total: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give max(-l, 0), max(u, 0) and 1 over their sum."""
    below, above = (width - total).mul_(0.5).relu_(), (width + total).mul_(0.5).relu_()
    inverse = (below + above).clamp_(min=torch.finfo(total.dtype).tiny).reciprocal_()
    return below, above, inverse
