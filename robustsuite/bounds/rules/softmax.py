"""Softmax, log-softmax, log-sum-exp, and attention, composed of exponential, sum, reciprocal and products.

The composition is exact term by term on intervals where it matters: the softmax's own interval is intersected in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import functions
from robustsuite.bounds.relaxations.guarded import Guarded
from robustsuite.bounds.relaxations.power import Reciprocal
from robustsuite.bounds.relaxations.product import Product
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.arithmetic import add, scale
from robustsuite.bounds.rules.linear import matmul
from robustsuite.bounds.rules.reduction import total
from robustsuite.bounds.rules.selection import where
from robustsuite.bounds.rules.shape import Shift, axis_after, expand, transpose
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten

# On large regions an exponential may overflow, and their sum come to nothing: the softmax still lies in [0, 1].
_EXP = Guarded(functions.EXP, low=-torch.inf, high=60.0)
_INVERSE = Guarded(Reciprocal(), low=1e-12, high=1e30)


def _shifted(g: Program, x: Ref, axis: int) -> tuple[Ref, Tensor]:
    """Give x - c with c the clean maximum over the axis, a constant of each example: nothing overflows then."""
    peak = g.value(x).detach().amax(axis_after(axis), keepdim=True)
    return g.emit(Shift((-peak).expand(-1, *x.shape)), x, shape=x.shape), peak


def softmax(g: Program, x: Ref, dim: int, *args: Any, **kwargs: Any) -> Ref:
    """Give the softmax over `dim`.

    Source: for the interval, Wei et al. 2023 (2303.01713), equation 5: each logit at one end, the others at the
    opposite one.
    """
    axis = dim % len(x.shape)
    shifted, _ = _shifted(g, x, axis)
    exponentials = apply_unary(g, shifted, _EXP)
    inverse = apply_unary(g, total(g, exponentials, [axis], True), _INVERSE)

    def exact(inputs: Sequence[Bounds]) -> Bounds:
        low, high = inputs[0].lower, inputs[0].upper
        ends = []
        for mine, others in ((low, high), (high, low)):
            # 1 / (1 + sum over j != i of exp(others_j - mine_i)), with the sum over all j less the own term.
            everything = others.logsumexp(axis + 1, keepdim=True)
            rest = everything + torch.log1p(-(others - everything).exp().clamp(max=1 - 1e-6))
            ends.append((mine - rest).sigmoid())
        slack = 64 * torch.finfo(low.dtype).eps
        return Bounds(
            (ends[0] * (1 - slack) - 1e-6).clamp(min=0), (ends[1] * (1 + slack) + 1e-6).clamp(max=1)
        )

    wide = expand(g, inverse, x.shape)
    weights = g.emit(
        Product(within=(0.0, 1.0)), exponentials, wide, shape=x.shape, refine=exact, refine_from=[x]
    )
    if axis == len(x.shape) - 1:
        g.convex_weights.add(weights.index)
    return weights


def log_sum_exp(g: Program, x: Ref, dims: Sequence[int] | int, keepdim: bool = False) -> Ref:
    """Give the logarithm of the sum of exponentials over `dims`."""
    axes = [dims] if isinstance(dims, int) else list(dims)
    axes = sorted(a % len(x.shape) for a in axes)
    peak = g.value(x).detach().amax([a + 1 for a in axes], keepdim=True)
    shifted = g.emit(Shift((-peak).expand(-1, *x.shape)), x, shape=x.shape)
    sums = total(g, apply_unary(g, shifted, functions.EXP), axes, keepdim)
    rank = [a + 1 for a in axes]

    def exact(inputs: Sequence[Bounds]) -> Bounds:
        return Bounds(
            inputs[0].lower.logsumexp(rank, keepdim=keepdim), inputs[0].upper.logsumexp(rank, keepdim=keepdim)
        )

    logarithm = apply_unary(g, sums, functions.LOG)
    offset = peak if keepdim else peak.squeeze(rank)
    return g.emit(Shift(offset), logarithm, shape=logarithm.shape, refine=exact, refine_from=[x])


def log_softmax(g: Program, x: Ref, dim: int, *args: Any, **kwargs: Any) -> Ref:
    """Give x less its log-sum-exp over `dim`."""
    axis = dim % len(x.shape)
    return add(g, x, log_sum_exp(g, x, [axis], True), -1, refine=_not_positive, refine_from=[x])


def _not_positive(inputs: Sequence[Bounds]) -> Bounds:
    x = inputs[0]
    return Bounds(torch.full_like(x.lower, -torch.inf), torch.full_like(x.upper, 1e-6))


def attention(
    g: Program,
    query: Ref | Tensor,
    key: Ref | Tensor,
    value: Ref | Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> Ref:
    """Give softmax(query key^T * scale + mask) value. Source: Vaswani et al. 2017, equation 1."""
    given = kwargs.get("scale")
    factor = 1 / math.sqrt(query.shape[-1]) if given is None else given
    turned = (
        transpose(g, key, len(key.shape) - 2, len(key.shape) - 1)
        if isinstance(key, Ref)
        else key.transpose(-2, -1)
    )
    scores: Any
    if isinstance(query, Tensor) and isinstance(turned, Tensor):
        scores = query @ turned
    else:
        scores = matmul(g, query, turned)
    scores = scale(g, scores, factor) if isinstance(scores, Ref) else scores * factor
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=constant_like(g)["device"]).tril()
    if mask is not None and isinstance(scores, Ref):
        if mask.dtype == torch.bool:
            scores = where(g, mask, scores, -torch.inf)
        else:
            scores = add(g, scores, mask)
    weights = softmax(g, scores, -1) if isinstance(scores, Ref) else scores.softmax(-1)
    return matmul(g, weights, value)


TABLE: Table = {
    aten._softmax.default: softmax,
    aten.softmax.int: softmax,
    aten._log_softmax.default: log_softmax,
    aten.log_softmax.int: log_softmax,
    aten.logsumexp.default: log_sum_exp,
    aten.scaled_dot_product_attention.default: attention,
}
