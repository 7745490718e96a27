"""Normalisation: by fixed statistics (batch), by those of the example itself (layer, group, RMS), and norms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Shape
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import functions
from robustsuite.bounds.relaxations.power import Square
from robustsuite.bounds.relaxations.product import Product
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.activation import absolute, power
from robustsuite.bounds.rules.arithmetic import add, multiply, scale
from robustsuite.bounds.rules.reduction import mean, total
from robustsuite.bounds.rules.selection import largest
from robustsuite.bounds.rules.shape import expand, reshape, shift
from robustsuite.bounds.rules.table import Table, constant_like
from robustsuite.errors import InvalidInput, UnsupportedOperator

aten = torch.ops.aten


def batch_norm(
    g: Program,
    x: Ref,
    weight: Ref | Tensor | None,
    bias: Ref | Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Ref, None, None]:
    """Normalise each channel (axis 1 of the example).

    In eval mode with the running statistics. While the traced module is in training mode, with those of the
    clean batch, as the module itself does: the clean pass and the bounds then see the same affine map.

    Source: Xu et al. 2020, section 4 (certified training with batch normalisation).
    """
    if g.training:
        clean = g.value(x).transpose(0, 2).flatten(1)  # channels first
        variance, mean = torch.var_mean(clean, 1, correction=0)
    return normalise(g, x, weight, bias, mean, variance, eps), None, None


def normalise(
    g: Program,
    x: Ref,
    weight: Ref | Tensor | None,
    bias: Ref | Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
) -> Ref:
    """Normalise each channel (axis 1 of the example) by given statistics."""
    factor = torch.rsqrt(variance + eps)
    space = (-1, *(1,) * (len(x.shape) - 2))
    if isinstance(weight, Ref) or isinstance(bias, Ref):
        normal = shift(g, scale(g, x, factor.view(space)), (-mean * factor).view(space))
        return _affine(g, normal, _viewed(g, weight, space), _viewed(g, bias, space))
    if weight is not None:
        factor = factor * weight
    offset = -mean * factor if bias is None else bias - mean * factor
    scaled = scale(g, x, factor.view(space))
    return shift(g, scaled, offset.view(space))


def _standardised(g: Program, x: Ref, axes: Sequence[int], eps: float, *, centred: bool) -> Ref:
    """Divide by the root of the mean square over `axes`, after taking off the mean where `centred`.

    No result exceeds the root of the number of entries (less one, if centred), whatever the input.
    """
    count = math.prod(x.shape[a] for a in axes)
    if centred:
        x = add(g, x, expand(g, mean(g, x, axes, True), x.shape), -1)
    squares = mean(g, apply_unary(g, x, Square()), axes, True)
    inverse = apply_unary(g, shift(g, squares, torch.tensor(eps, **constant_like(g))), functions.RSQRT)
    limit = math.sqrt(max(count - 1, 0) if centred else count) * (1 + 1e-5) + 1e-6

    def bounded(inputs: Sequence[Bounds]) -> Bounds:
        return Bounds(torch.full_like(inputs[0].lower, -limit), torch.full_like(inputs[0].upper, limit))

    wide = expand(g, inverse, x.shape)
    return g.emit(Product(), x, wide, shape=x.shape, refine=bounded, refine_from=[x])


def _affine(g: Program, x: Ref, weight: Ref | Tensor | None, bias: Ref | Tensor | None) -> Ref:
    x = x if weight is None else multiply(g, x, weight)
    return x if bias is None else add(g, x, bias)


def _viewed(g: Program, x: Ref | Tensor | None, shape: Shape) -> Ref | Tensor | None:
    return None if x is None else reshape(g, x, shape)


def layer_norm(
    g: Program,
    x: Ref,
    normalized_shape: Sequence[int],
    weight: Ref | Tensor | None = None,
    bias: Ref | Tensor | None = None,
    eps: float = 1e-5,
) -> Ref:
    """Normalise over the last axes. Source: Ba et al. 2016, equation 4."""
    axes = list(range(len(x.shape) - len(normalized_shape), len(x.shape)))
    return _affine(g, _standardised(g, x, axes, eps, centred=True), weight, bias)


def _rms_norm(
    g: Program,
    x: Ref,
    normalized_shape: Sequence[int],
    weight: Ref | Tensor | None = None,
    eps: float | None = None,
) -> Ref:
    axes = list(range(len(x.shape) - len(normalized_shape), len(x.shape)))
    eps = torch.finfo(constant_like(g)["dtype"]).eps if eps is None else eps
    return _affine(g, _standardised(g, x, axes, eps, centred=False), weight, None)


def group_norm(
    g: Program,
    x: Ref,
    groups: int,
    weight: Ref | Tensor | None = None,
    bias: Ref | Tensor | None = None,
    eps: float = 1e-5,
) -> Ref:
    """Normalise over groups of channels. Source: Wu and He 2018, equation 7."""
    split = reshape(g, x, (x.shape[0], groups, -1))
    normal = reshape(g, _standardised(g, split, [2], eps, centred=True), x.shape)
    space = (-1, *(1,) * (len(x.shape) - 2))
    return _affine(g, normal, _viewed(g, weight, space), _viewed(g, bias, space))


def _instance_norm(
    g: Program,
    x: Ref,
    weight: Ref | Tensor | None,
    bias: Ref | Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
) -> Ref:
    """Normalise each channel by its own statistics, or by fixed ones. Source: Ulyanov et al. 2016, equation 1."""
    if use_input_stats:
        return group_norm(g, x, x.shape[1], weight, bias, eps)
    assert mean is not None
    assert variance is not None
    return normalise(g, x, weight, bias, mean, variance, eps)


def vector_norm(
    g: Program,
    x: Ref,
    order: float = 2,
    axes: Sequence[int] | int | None = None,
    keepdim: bool = False,
) -> Ref:
    """Give the norm of an order > 0 over `axes`, all of them by default.

    Raises:
        InvalidInput: the order is not positive.
    """
    over = [axes] if isinstance(axes, int) else list(axes or range(len(x.shape)))
    if order == 2:
        return apply_unary(g, total(g, apply_unary(g, x, Square()), over, keepdim), functions.SQRT)
    if order == 1:
        return total(g, absolute(g, x), over, keepdim)
    if order == torch.inf:
        return largest(g, absolute(g, x), over, keepdim)
    if 0 < order < torch.inf:
        return power(g, total(g, power(g, absolute(g, x), order), over, keepdim), 1 / order)
    raise InvalidInput(f"norm of order {order} in {g.where}; expected > 0")


def _variance(
    g: Program,
    x: Ref,
    axes: Sequence[int] | int | None = None,
    *,
    correction: float | None = 1,
    keepdim: bool = False,
) -> Ref:
    correction = 1 if correction is None else correction
    over = [axes] if isinstance(axes, int) else list(axes or range(len(x.shape)))
    count = math.prod(x.shape[a] for a in over)
    if count <= correction:
        raise UnsupportedOperator(
            f"{g.where} divides by {count} - {correction}: no variance of so few entries"
        )
    centred = add(g, x, expand(g, mean(g, x, over, True), x.shape), -1)
    return scale(g, total(g, apply_unary(g, centred, Square()), over, keepdim), 1 / (count - correction))


def _variance_and_mean(
    g: Program,
    x: Ref,
    dim: Sequence[int] | int | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[Ref, Ref]:
    free = 1 if correction is None else correction
    return _variance(g, x, dim, correction=free, keepdim=keepdim), mean(g, x, dim, keepdim)


TABLE: Table = {
    aten._native_batch_norm_legit_no_training.default: batch_norm,
    aten.layer_norm.default: layer_norm,
    aten.native_layer_norm.default: lambda g, x, shape, weight, bias, eps: (
        layer_norm(g, x, shape, weight, bias, eps),
        None,
        None,
    ),
    aten.rms_norm.default: _rms_norm,
    aten.group_norm.default: group_norm,
    aten.instance_norm.default: _instance_norm,
    aten.norm.ScalarOpt_dim: lambda g, x, p, dim, keepdim=False: vector_norm(
        g, x, 2 if p is None else p, dim, keepdim
    ),
    aten.linalg_vector_norm.default: vector_norm,
    aten.var.correction: _variance,
    aten.var_mean.correction: _variance_and_mean,
    aten.var.dim: lambda g, x, dim, unbiased=True, keepdim=False: _variance(
        g, x, dim, correction=int(unbiased), keepdim=keepdim
    ),
}
