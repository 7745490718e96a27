"""Softmax, log-softmax, log-sum-exp, and attention.

The softmax is the exponential of the log-softmax, so that no exponential overflows however large the region is.
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
from robustsuite.bounds.relaxations.log_sum_exp import LogSumExp
from robustsuite.bounds.relaxations.unary import Unary
from robustsuite.bounds.rules.arithmetic import add, scale
from robustsuite.bounds.rules.linear import matmul
from robustsuite.bounds.rules.selection import where
from robustsuite.bounds.rules.shape import reshape, to_last, transpose
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def softmax(g: Program, x: Ref, dim: int, *args: Any, **kwargs: Any) -> Ref:
    """Give the softmax over `dim`: exp(x - log-sum-exp(x)).

    Source: Wei et al. 2023 (2303.01713), section 3 for the composition; equation 5 for the interval: each logit at one
    end, the others at the opposite one.
    """
    axis = dim % len(x.shape)

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

    logarithms = log_softmax(g, x, axis)
    weights = g.emit(Unary(functions.EXP), logarithms, shape=x.shape, refine=exact, refine_from=[x])
    if axis == len(x.shape) - 1:
        g.convex_weights.add(weights.index)
    return weights


def log_sum_exp(g: Program, x: Ref, dims: Sequence[int] | int, keepdim: bool = False) -> Ref:
    """Give the logarithm of the sum of exponentials over `dims`."""
    flat, whole = to_last(g, x, dims)
    result = g.emit(LogSumExp(), flat, shape=flat.shape[:-1])
    return reshape(g, result, whole) if keepdim else result


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
