"""Maxima, minima, clamps, and choices by masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import functions
from robustsuite.bounds.relaxations.maximum import Maximum
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.activation import relu
from robustsuite.bounds.rules.arithmetic import Operand, add, multiply, scale
from robustsuite.bounds.rules.refusal import Places
from robustsuite.bounds.rules.shape import expand, reshape, shift, to_last
from robustsuite.bounds.rules.table import Table, constant_like
from robustsuite.errors import UnsupportedOperator

aten = torch.ops.aten


def maximum(g: Program, x: Operand, y: Operand) -> Ref:
    """Give max(x, y) = y + relu(x - y): the difference is a step of its own, and so bounded tightly."""
    if not isinstance(y, Ref):
        x, y = y, x
    assert isinstance(y, Ref)
    difference = add(g, x, y, -1) if isinstance(x, Ref) else add(g, scale(g, y, -1.0), x)
    wide = expand(g, y, difference.shape)
    known = [r for r in (x, wide) if isinstance(r, Ref)]
    constant = None if isinstance(x, Ref) else torch.as_tensor(x, **constant_like(g))

    def exact(inputs: Sequence[Bounds]) -> Bounds:
        if constant is not None:
            return Bounds(torch.maximum(inputs[0].lower, constant), torch.maximum(inputs[0].upper, constant))
        return Bounds(
            torch.maximum(inputs[0].lower, inputs[1].lower), torch.maximum(inputs[0].upper, inputs[1].upper)
        )

    return add(g, wide, relu(g, difference), refine=exact, refine_from=known)


def minimum(g: Program, x: Operand, y: Operand) -> Ref:
    """Give min(x, y) = -max(-x, -y)."""

    def negative(value: Operand) -> Operand:
        return scale(g, value, -1.0) if isinstance(value, Ref) else -value

    return scale(g, maximum(g, negative(x), negative(y)), -1.0)


def clamp(g: Program, x: Ref, low: Any = None, high: Any = None) -> Ref:
    """Cut `x` to [low, high]; either may be None, a number or a constant tensor."""
    if isinstance(low, int | float) and isinstance(high, int | float):
        return apply_unary(g, x, functions.clip(float(low), float(high)))
    if low is not None:
        x = maximum(g, x, low)
    return x if high is None else minimum(g, x, high)


def largest(g: Program, x: Ref, axes: Sequence[int] | int = (), keepdim: bool = False) -> Ref:
    """Give the maximum over `axes`, all of them by default."""
    flat, whole = to_last(g, x, axes)
    result = g.emit(Maximum(), flat, shape=flat.shape[:-1])
    return reshape(g, result, whole) if keepdim else result


def smallest(g: Program, x: Ref, axes: Sequence[int] | int = (), keepdim: bool = False) -> Ref:
    """Give the minimum over `axes`."""
    return scale(g, largest(g, scale(g, x, -1.0), axes, keepdim), -1.0)


def where(g: Program, mask: Operand, x: Operand, y: Operand) -> Ref:
    """Give `x` where the mask holds, else `y`. A mask that depends on the input is a 0/1 step.

    With a constant mask this is affine, and entries filled with -inf are known as masked; else it is
    y + mask (x - y), within the hull of both.

    Raises:
        UnsupportedOperator: a constant with NaN or infinity, but for a constant mask's -inf.
    """
    if isinstance(mask, Tensor):
        return _blend(g, mask, x, y)
    assert isinstance(mask, Ref)
    for value in (x, y):
        if not isinstance(value, Ref) and not bool(torch.as_tensor(value).isfinite().all()):
            raise UnsupportedOperator(
                f"{g.where} fills with NaN or infinity where a condition on the input holds; use finite numbers"
            )
    shape = torch.broadcast_shapes(*(tuple(getattr(v, "shape", ())) for v in (mask, x, y)))
    mask = expand(g, mask, shape)
    x, y = (expand(g, v, shape) if isinstance(v, Ref) else v for v in (x, y))
    difference = _subtract(g, x, y)
    product = multiply(g, mask, difference)
    parts = [mask, *(v for v in (x, y) if isinstance(v, Ref))]

    def hull(inputs: Sequence[Bounds]) -> Bounds:
        given = iter(inputs)
        chosen = next(given)
        ends = []
        for value in (x, y):
            if isinstance(value, Ref):
                ends.append(next(given))
            else:
                tensor = torch.as_tensor(value, **constant_like(g))
                ends.append(Bounds(tensor, tensor))
        (first, second), surely, never = ends, chosen.lower > 0, chosen.upper < 1
        lower, upper = torch.minimum(first.lower, second.lower), torch.maximum(first.upper, second.upper)
        lower = torch.where(surely, first.lower, torch.where(never, second.lower, lower))
        upper = torch.where(surely, first.upper, torch.where(never, second.upper, upper))
        rows = (len(chosen.lower), *shape)
        return Bounds(lower.expand(rows), upper.expand(rows))

    if isinstance(y, Ref):
        return add(g, expand(g, y, shape), product, refine=hull, refine_from=parts)
    constant = torch.as_tensor(y, **constant_like(g))
    return shift(g, product, constant)


def _subtract(g: Program, x: Operand, y: Operand) -> Operand:
    if isinstance(x, Ref):
        return add(g, x, y, -1)
    if isinstance(y, Ref):
        return add(g, scale(g, y, -1.0), x)
    return torch.as_tensor(x, **constant_like(g)) - torch.as_tensor(y, **constant_like(g))


def _blend(g: Program, mask: Tensor, x: Operand, y: Operand) -> Ref:
    """Choose by a constant mask."""
    kind = constant_like(g)
    shape = torch.broadcast_shapes(*(tuple(getattr(v, "shape", ())) for v in (mask, x, y)))
    chosen = mask.bool().expand(shape)
    parts = [
        scale(g, value, where.to(kind["dtype"]))
        for value, where in ((x, chosen), (y, ~chosen))
        if isinstance(value, Ref)
    ]
    if len(parts) == 2:
        return add(g, parts[0], parts[1])
    constant = torch.as_tensor(y if isinstance(x, Ref) else x, **kind)
    # What is not chosen may be anything.
    picked = torch.where(~chosen if isinstance(x, Ref) else chosen, constant, 0.0)
    return shift(g, parts[0], picked)


def masked_fill(g: Program, x: Ref, mask: Operand, value: Any) -> Ref:
    """Give `x` with `value` where the mask holds."""
    return where(g, mask, value, x)


TABLE: Table = {
    aten.maximum.default: maximum,
    aten.minimum.default: minimum,
    aten.clamp.default: clamp,
    aten.clamp.Tensor: clamp,
    aten.clamp_min.default: lambda g, x, low: clamp(g, x, low),
    aten.clamp_max.default: lambda g, x, high: clamp(g, x, None, high),
    aten.amax.default: largest,
    aten.amin.default: smallest,
    aten.max.dim: lambda g, x, dim, keepdim=False: (largest(g, x, dim, keepdim), Places(g.where)),
    aten.min.dim: lambda g, x, dim, keepdim=False: (smallest(g, x, dim, keepdim), Places(g.where)),
    aten.max.default: lambda g, x: largest(g, x),
    aten.min.default: lambda g, x: smallest(g, x),
    aten.where.self: where,
    aten.masked_fill.Scalar: masked_fill,
    aten.masked_fill.Tensor: masked_fill,
}
