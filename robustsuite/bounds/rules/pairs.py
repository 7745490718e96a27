"""Functions of two tensors, entry by entry, and products over axes: put together from sums, products and functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import elementary, functions
from robustsuite.bounds.relaxations.power import Reciprocal, Square
from robustsuite.bounds.relaxations.steps import Constant, Flat, Jump
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.arithmetic import Operand, add, multiply, scale, subtract
from robustsuite.bounds.rules.linear import linear
from robustsuite.bounds.rules.normalization import vector_norm
from robustsuite.bounds.rules.reduction import total
from robustsuite.bounds.rules.refusal import no_dtype, refuse
from robustsuite.bounds.rules.selection import maximum, minimum
from robustsuite.bounds.rules.shape import cat, expand, permute, reshape, slice_axis, stack
from robustsuite.bounds.rules.softmax import log_sum_exp
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def _tensor(g: Program, value: Operand) -> Ref | Tensor:
    return value if isinstance(value, Ref | Tensor) else torch.tensor(float(value), **constant_like(g))


def _alike(g: Program, x: Operand, y: Operand) -> tuple[Ref | Tensor, Ref | Tensor]:
    """Broadcast two operands to one shape."""
    first, second = _tensor(g, x), _tensor(g, y)
    shape = torch.broadcast_shapes(tuple(first.shape), tuple(second.shape))
    return expand(g, first, shape), expand(g, second, shape)


def _add_exponentials(g: Program, x: Operand, y: Operand) -> Ref:
    """Give log(exp(x) + exp(y))."""
    return log_sum_exp(g, stack(g, list(_alike(g, x, y)), -1), [-1])


def _add_powers_of_two(g: Program, x: Operand, y: Operand) -> Ref:
    """Give log2(2^x + 2^y)."""

    def scaled(value: Operand) -> Operand:
        return scale(g, value, math.log(2)) if isinstance(value, Ref) else value * math.log(2)

    return scale(g, _add_exponentials(g, scaled(x), scaled(y)), 1 / math.log(2))


def _times_log(g: Program, x: Operand, y: Operand) -> Ref:
    """Give x log y for y > 0."""
    if isinstance(x, Ref) and isinstance(y, Ref) and x.index == y.index:
        return apply_unary(g, x, elementary.X_LOG_X)
    if isinstance(y, Ref):
        return multiply(g, x, apply_unary(g, y, functions.LOG))
    values = torch.as_tensor(y, **constant_like(g))
    if not bool((values > 0).all() & values.isfinite().all()):
        refuse(g, "other", y, "finite numbers above 0")
    return multiply(g, x, values.log())


def _times_log1p(g: Program, x: Operand, y: Operand) -> Ref:
    """Give x log(1 + y) for y > -1."""
    if isinstance(y, Ref):
        return multiply(g, x, apply_unary(g, y, elementary.LOG1P))
    values = torch.as_tensor(y, **constant_like(g))
    if not bool((values > -1).all() & values.isfinite().all()):
        refuse(g, "other", y, "finite numbers above -1")
    return multiply(g, x, values.log1p())


def _hypotenuse(g: Program, x: Operand, y: Operand) -> Ref:
    """Give the root of x^2 + y^2."""

    def square(value: Operand) -> Operand:
        return apply_unary(g, value, Square()) if isinstance(value, Ref) else value * value

    return apply_unary(g, add(g, square(x), square(y)), functions.SQRT)


def _angle(g: Program, y: Operand, x: Operand) -> Ref:
    """Give atan2(y, x): atan(y / x), and behind (x < 0) half a turn more, to the side that y is on."""
    if isinstance(x, Ref):
        quotient = multiply(g, y, apply_unary(g, x, Reciprocal()))
        behind: Operand = subtract(g, 1.0, apply_unary(g, x, Flat(lambda t: (t >= 0).to(t.dtype))))
    else:
        values = torch.as_tensor(x, **constant_like(g))
        if bool((values == 0).any()):
            refuse(g, "other", x, "numbers other than 0, where the angle jumps")
        quotient = multiply(g, y, 1 / values)
        behind = (values < 0).to(values.dtype)
    if isinstance(y, Ref):
        side: Operand = apply_unary(g, y, Jump(0.0, Constant(-1.0), Constant(1.0)))
    else:
        numbers = torch.as_tensor(y, **constant_like(g))
        side = torch.copysign(torch.ones_like(numbers), numbers)
    turn = multiply(g, side, behind)
    return add(g, apply_unary(g, quotient, functions.Atan()), scale(g, turn, math.pi))


def _interpolate(g: Program, x: Operand, end: Operand, weight: Operand) -> Ref:
    """Give x + weight (end - x)."""
    if isinstance(weight, Ref):
        if not isinstance(x, Ref) and not isinstance(end, Ref):
            span = torch.as_tensor(end, **constant_like(g)) - torch.as_tensor(x, **constant_like(g))
            return add(g, x, multiply(g, weight, span))
        return add(g, x, multiply(g, weight, subtract(g, end, x)))
    share = torch.as_tensor(weight, **constant_like(g))

    def times(value: Operand, factor: Tensor) -> Operand:
        return scale(g, value, factor) if isinstance(value, Ref) else value * factor

    return add(g, times(x, 1 - share), times(end, share))


def _bilinear(
    g: Program, x: Ref | Tensor, y: Ref | Tensor, weight: Ref | Tensor, bias: Ref | Tensor | None = None
) -> Ref:
    """Give x W_k y for each matrix W_k of the weight, shape (out, in x, in y)."""
    out, left, right = weight.shape
    flat = reshape(g, permute(g, weight, (0, 2, 1)), (out * right, left))
    both = x @ flat.t() if isinstance(x, Tensor) and isinstance(flat, Tensor) else linear(g, x, flat)
    turned = reshape(g, both, (*x.shape[:-1], out, right))
    result = total(g, multiply(g, turned, reshape(g, y, (*y.shape[:-1], 1, right))), [-1])
    return result if bias is None else add(g, result, bias)


def _product(g: Program, x: Ref, dim: int, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Ref:
    """Multiply the entries along an axis, halves with halves."""
    no_dtype(g, dtype, constant_like(g)["dtype"])
    axis = dim % len(x.shape)
    if x.shape[axis] == 0:
        refuse(g, "self", "empty along 'dim'", "at least one entry to multiply")
    while x.shape[axis] > 1:
        half = x.shape[axis] // 2
        first = slice_axis(g, x, axis, 0, half)
        second = slice_axis(g, x, axis, half, 2 * half)
        rest = slice_axis(g, x, axis, 2 * half, x.shape[axis]) if x.shape[axis] % 2 else None
        x = multiply(g, first, second)
        if rest is not None:
            last = multiply(g, slice_axis(g, x, axis, half - 1, half), rest)
            x = last if half == 1 else cat(g, [slice_axis(g, x, axis, 0, half - 1), last], axis)
    return x if keepdim else reshape(g, x, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _running_product(g: Program, x: Ref, dim: int, *, dtype: torch.dtype | None = None) -> Ref:
    """Multiply each entry with all before it."""
    no_dtype(g, dtype, constant_like(g)["dtype"])
    axis = dim % len(x.shape)
    parts = [slice_axis(g, x, axis, i, i + 1) for i in range(x.shape[axis])]
    for i in range(1, len(parts)):
        parts[i] = multiply(g, parts[i - 1], parts[i])
    return cat(g, parts, axis) if len(parts) > 1 else x


def _running_sum_of_exponentials(g: Program, x: Ref, dim: int) -> Ref:
    axis = dim % len(x.shape)
    parts = [log_sum_exp(g, slice_axis(g, x, axis, 0, i + 1), [axis], True) for i in range(x.shape[axis])]
    return cat(g, parts, axis) if len(parts) > 1 else x


def _distances(
    g: Program, x1: Ref | Tensor, x2: Ref | Tensor, p: float = 2.0, compute_mode: int | None = None
) -> Ref:
    """Give the p-norms of the differences of all rows; how torch computes them (`compute_mode`) does not matter."""

    def at(x: Ref | Tensor, axis: int) -> Ref | Tensor:
        shape = list(x.shape)
        shape.insert(len(shape) + axis, 1)
        return reshape(g, x, shape)

    return vector_norm(g, subtract(g, at(x1, -1), at(x2, -2)), p, [-1])


TABLE: Table = {
    aten.logaddexp.default: _add_exponentials,
    aten.logaddexp2.default: _add_powers_of_two,
    aten.xlogy.Tensor: _times_log,
    aten.xlogy.Scalar_Self: _times_log,
    aten.xlogy.Scalar_Other: _times_log,
    aten.special_xlog1py.default: _times_log1p,
    aten.hypot.default: _hypotenuse,
    aten.atan2.default: _angle,
    aten.fmax.default: maximum,
    aten.fmin.default: minimum,
    aten.lerp.Scalar: _interpolate,
    aten.lerp.Tensor: _interpolate,
    aten.bilinear.default: _bilinear,
    aten.prod.dim_int: _product,
    aten.cumprod.default: _running_product,
    aten.logcumsumexp.default: _running_sum_of_exponentials,
    aten.cdist.default: _distances,
}
