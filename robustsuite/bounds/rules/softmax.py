"""Softmax, log-softmax, log-sum-exp, and attention.

The softmax is the exponential of the log-softmax, so that no exponential overflows however large the region is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.operations import Refine
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import functions
from robustsuite.bounds.relaxations.log_sum_exp import LogSumExp
from robustsuite.bounds.relaxations.unary import Unary
from robustsuite.bounds.rules.arithmetic import add
from robustsuite.bounds.rules.arithmetic import scale as scaled
from robustsuite.bounds.rules.linear import matmul
from robustsuite.bounds.rules.selection import where
from robustsuite.bounds.rules.shape import reshape, to_last, transpose
from robustsuite.bounds.rules.table import Table, constant_like
from robustsuite.errors import UnboundedOutput, UnsupportedOperator

aten = torch.ops.aten
_LOST = 0.05  # of a logit, by rounding


def softmax(g: Program, x: Ref, dim: int) -> Ref:
    """Give the softmax over `dim`: exp(x - log-sum-exp(x)).

    Source: Wei et al. 2023 (2303.01713), section 3.
    """
    axis = dim % len(x.shape)
    logarithms = log_softmax(g, x, axis)
    if g.sound:  # what rounding adds to the logarithms does not take the weights out of their range
        exact = _shares(axis, sound=True)

        def between(inputs: Sequence[Bounds]) -> Bounds:
            return exact(inputs).mapped(torch.exp)

        weights = g.emit(Unary(functions.EXP), logarithms, shape=x.shape, refine=between, refine_from=[x])
    else:
        weights = g.emit(Unary(functions.EXP), logarithms, shape=x.shape)
    if axis == len(x.shape) - 1:
        g.convex_weights.add(weights.index)
    return weights


def log_sum_exp(g: Program, x: Ref, dims: Sequence[int] | int, keepdim: bool = False) -> Ref:
    """Give the logarithm of the sum of exponentials over `dims`."""
    flat, whole = to_last(g, x, dims)
    guard = None if g.sound else _fine_enough
    result = g.emit(LogSumExp(), flat, shape=flat.shape[:-1], refine=guard, refine_from=[flat])
    return reshape(g, result, whole) if keepdim else result


def log_softmax(g: Program, x: Ref, dim: int) -> Ref:
    """Give x less its log-sum-exp over `dim`.

    Source: Wei et al. 2023 (2303.01713), equation 5, for the interval: each logit at one end, the others at the opposite
    one.
    """
    axis = dim % len(x.shape)
    exact = _shares(axis, sound=g.sound)
    return add(g, x, log_sum_exp(g, x, [axis], True), -1, refine=exact, refine_from=[x])


def _shares(axis: int, *, sound: bool) -> Refine:
    """Give the exact range of the logarithms of exponentials' shares in their sum over an axis of one example.

    Args:
        axis: of one example.
        sound: whether to allow for all rounding that may be, or for what is usual.
    """

    def exact(inputs: Sequence[Bounds]) -> Bounds:
        low, high = inputs[0].lower, inputs[0].upper
        if low.shape[axis + 1] == 1:
            return Bounds(torch.zeros_like(low), torch.zeros_like(high))
        eps = torch.finfo(low.dtype).eps
        terms, factor = (low.shape[axis + 1], 4) if sound else (1, 1)
        ends = []
        for mine, others, side in ((low, high, -1), (high, low, 1)):
            # The share is 1 / (1 + exp(rest - mine)), with the log-sum-exp of the rest.
            rest = _rest(others, axis + 1)
            slack = eps * (terms + factor * (mine.abs() + rest.abs()))
            ends.append(functional.logsigmoid(mine - rest + side * slack) * (1 - side * 8 * eps))
        return Bounds(ends[0], ends[1])

    return exact


def _rest(x: Tensor, axis: int) -> Tensor:
    """Give the log-sum-exp over an axis without each of its entries, of which there are two or more.

    Of the largest entry's it is computed by itself: what is left of the sum without it may be all rounding.
    """
    top = x.argmax(axis, keepdim=True)
    without_top = x.scatter(axis, top, -torch.inf).logsumexp(axis, keepdim=True)
    everything = torch.logaddexp(x.gather(axis, top), without_top)
    return (everything + torch.log1p(-(x - everything).exp().clamp(max=0.5))).scatter(axis, top, without_top)


def _fine_enough(inputs: Sequence[Bounds]) -> Bounds:
    """Give no interval, but check that rounding of the largest logits does not swallow their differences (a `Refine`).

    Raises:
        UnboundedOutput: it does.
    """
    x = inputs[0]
    # What is far below the largest logit of its row has no weight, whatever its rounding.
    largest = x.upper.detach().amax(-1)
    counts = (x.upper.detach() > largest.unsqueeze(-1) - 1e3) * torch.maximum(
        x.lower.abs(), x.upper.abs()
    ).detach()
    size = float(counts.nan_to_num(0.0, 0.0, 0.0).amax()) if counts.numel() else 0.0
    if size * torch.finfo(largest.dtype).eps > _LOST:
        raise UnboundedOutput(
            f"logits of size {size:.3g} leave no room for their differences in {str(largest.dtype).removeprefix('torch.')}; "
            "subtract a constant from them, use a smaller eps, or float64"
        )
    return Bounds(torch.full_like(largest, -torch.inf), torch.full_like(largest, torch.inf))


def attention(
    g: Program,
    query: Ref | Tensor,
    key: Ref | Tensor,
    value: Ref | Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> Ref:
    """Give softmax(query key^T * scale + mask) value. Source: Vaswani et al. 2017, equation 1."""
    if dropout:
        raise UnsupportedOperator(f"{g.where} drops out weights at random; call model.eval()")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    turned = transpose(g, key, -2, -1)
    scores: Any
    weights: Any
    if isinstance(query, Tensor) and isinstance(turned, Tensor):
        scores = query @ turned
    else:
        scores = matmul(g, query, turned)
    scores = scaled(g, scores, factor) if isinstance(scores, Ref) else scores * factor
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=constant_like(g)["device"]).tril()
    if mask is not None and isinstance(scores, Ref):
        kept = mask if mask.dtype == torch.bool else mask > -torch.inf
        some = kept.any(-1, keepdim=True)
        # A row without any key attends to none: torch gives 0 there.
        mask = mask | ~some if mask.dtype == torch.bool else mask.masked_fill(~some, 0.0)
        scores = where(g, mask, scores, -torch.inf) if mask.dtype == torch.bool else add(g, scores, mask)
        weights = softmax(g, scores, -1)
        weights = weights if bool(some.all()) else scaled(g, weights, some)
    elif isinstance(scores, Ref):
        weights = softmax(g, scores, -1)
    else:
        weights = _attended(scores, mask)
    return matmul(g, weights, value)


def _attended(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Give the weights of constant scores."""
    if mask is None:
        return scores.softmax(-1)
    scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1).nan_to_num(0.0)


TABLE: Table = {
    aten._softmax.default: softmax,
    aten.softmax.int: softmax,
    aten._log_softmax.default: log_softmax,
    aten.log_softmax.int: log_softmax,
    aten.logsumexp.default: log_sum_exp,
    aten.scaled_dot_product_attention.default: attention,
}
