"""Products with constant matrices: linear layers and matrix products with one perturbed operand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm, Shape
from robustsuite.bounds.forms.picks import Differences, OneHot, Picks
from robustsuite.bounds.operations import Affine, vector_jacobian
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.product import MatrixProduct
from robustsuite.bounds.rules.arithmetic import add, scale
from robustsuite.bounds.rules.shape import expand, reshape, transpose
from robustsuite.bounds.rules.table import Table

aten = torch.ops.aten


class Linear(Affine):
    """Multiply the last axis with a matrix: ``x @ weight.T + bias``.

    Args:
        weight: shape (out, in).
        bias: shape (out,), or None.
        before: shape of the input for one example.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, before: Shape) -> None:
        self._weight, self._bias, self._before = weight, bias, before

    def forward(self, *xs: Tensor) -> Tensor:
        return functional.linear(xs[0], self._weight, self._bias)

    def interval(self, *xs: Bounds) -> Bounds:
        total, width = xs[0].sum_and_width()
        bias = None if self._bias is None else 2 * self._bias
        return Bounds.centered(
            functional.linear(total, self._weight, bias), functional.linear(width, self._weight.abs())
        )

    def terms(self) -> int:
        return max(self._weight.shape)

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        if type(form) is Dense:  # the usual case, asked for first
            return (form.like(form.a @ self._weight),)
        if isinstance(form, OneHot) and form.shape[:-1] == (1,) * (len(form.shape) - 1):
            a = self._weight[form.index].unsqueeze(1) * form.value.unsqueeze(2)
            return (Dense(form.rows, self._before, a.view(*form.value.shape, *self._before)),)
        if isinstance(form, Picks) and form.shape[:-1] == (1,) * (len(form.shape) - 1):
            a = self._weight[form.index] * form.value.unsqueeze(1)
            return (Dense(None, self._before, a.view(1, -1, *self._before)),)
        if isinstance(form, Differences) and form.shape[:-1] == (1,) * (len(form.shape) - 1):
            a = form.rows_of(self._weight)
            return (Dense(None, self._before, a.view(*a.shape[:2], *self._before)),)
        dense = form.dense()
        return (dense.like(dense.a @ self._weight),)

    def offset(self) -> Tensor | None:
        if self._bias is None:
            return None
        return self._bias.expand(1, *self._before[:-1], -1)

    def linear(self, *xs: Tensor) -> Tensor:
        return functional.linear(xs[0], self._weight)


class ConstantProduct(Affine):
    """A batched matrix product with one constant operand: ``constant @ x`` or ``x @ constant``.

    Args:
        constant: the other operand.
        before: shape of `x` for one example, of the same rank as the result.
        on_left: whether the constant stands on the left.
    """

    def __init__(self, constant: Tensor, before: Shape, *, on_left: bool) -> None:
        self._constant, self._before, self._on_left = constant, before, on_left

    def _product(self, x: Tensor, constant: Tensor) -> Tensor:
        return constant @ x if self._on_left else x @ constant

    def forward(self, *xs: Tensor) -> Tensor:
        return self._product(xs[0], self._constant)

    def interval(self, *xs: Bounds) -> Bounds:
        total, width = xs[0].sum_and_width()
        return Bounds.centered(
            self._product(total, self._constant), self._product(width, self._constant.abs())
        )

    def terms(self) -> int:
        return max(self._constant.shape[-2:])

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        (a,) = vector_jacobian(self.forward, dense.a, [self._before])
        return (dense.like(a),)


def linear(g: Program, x: Ref | Tensor, weight: Ref | Tensor, bias: Ref | Tensor | None = None) -> Ref:
    """Give ``x @ weight.T + bias``; the common case has a perturbed `x` alone."""
    if isinstance(x, Ref) and isinstance(weight, Tensor) and not isinstance(bias, Ref):
        return g.emit(Linear(weight, bias, x.shape), x, shape=(*x.shape[:-1], len(weight)))
    turned = transpose(g, weight, -2, -1)
    if isinstance(x, Tensor) and isinstance(turned, Tensor):
        assert isinstance(bias, Ref)
        return add(g, x @ turned, bias)
    product = matmul(g, x, turned)
    return product if bias is None else add(g, product, bias)


def matmul(g: Program, x: Ref | Tensor, y: Ref | Tensor) -> Ref:
    """Give ``x @ y`` with torch's broadcasting of the leading axes."""
    if len(x.shape) == 1:
        product = matmul(g, reshape(g, x, (1, -1)), y)
        kept = product.shape[:-2] + product.shape[-1:] if len(y.shape) > 1 else product.shape[:-1]
        return reshape(g, product, kept)
    if len(y.shape) == 1:
        product = matmul(g, x, reshape(g, y, (-1, 1)))
        return reshape(g, product, product.shape[:-1])
    if isinstance(x, Ref) and isinstance(y, Tensor) and y.dim() == 2:
        return linear(g, x, y.transpose(0, 1))
    lead = torch.broadcast_shapes(tuple(x.shape[:-2]), tuple(y.shape[:-2]))
    shape = (*lead, x.shape[-2], y.shape[-1])
    if isinstance(x, Ref):
        x = expand(g, x, (*lead, *x.shape[-2:]))
    if isinstance(y, Ref):
        y = expand(g, y, (*lead, *y.shape[-2:]))
    if isinstance(x, Ref) and isinstance(y, Ref):
        if x.index in g.convex_weights:
            return g.emit(MatrixProduct(), x, y, shape=shape, refine=_hull_of_rows, refine_from=[y])
        return g.emit(MatrixProduct(), x, y, shape=shape)
    if isinstance(x, Ref):
        assert isinstance(y, Tensor)
        return g.emit(ConstantProduct(y, x.shape, on_left=False), x, shape=shape)
    assert isinstance(y, Ref)
    return g.emit(ConstantProduct(x, y.shape, on_left=True), y, shape=shape)


def _addmm(
    g: Program, bias: Ref | Tensor, x: Ref | Tensor, y: Ref | Tensor, beta: float = 1, alpha: float = 1
) -> Ref:
    plain = beta == alpha == 1 and isinstance(bias, Tensor) and bias.dim() == 1
    if plain and isinstance(x, Ref) and isinstance(y, Tensor):
        return linear(g, x, y.t(), bias)
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        assert isinstance(bias, Ref)
        return add(g, alpha * (x @ y), bias if beta == 1 else scale(g, bias, beta))
    product = matmul(g, x, y)
    product = product if alpha == 1 else scale(g, product, alpha)
    if beta == 0:
        return product
    if beta != 1:
        bias = scale(g, bias, beta) if isinstance(bias, Ref) else bias * beta
    return add(g, product, bias)


def _hull_of_rows(inputs: Sequence[Bounds]) -> Bounds:
    """Bound convex combinations of a matrix's rows, as attention makes them of the values."""
    low, high = inputs[0].lower.amin(-2, keepdim=True), inputs[0].upper.amax(-2, keepdim=True)
    slack = (
        16 * torch.finfo(low.dtype).eps * torch.maximum(low.abs(), high.abs())
    )  # of weights' sum in rounding
    return Bounds(low - slack, high + slack)


TABLE: Table = {
    aten.linear.default: linear,
    aten.matmul.default: matmul,
    aten.mm.default: matmul,
    aten.bmm.default: matmul,
    aten.addmm.default: _addmm,
}
