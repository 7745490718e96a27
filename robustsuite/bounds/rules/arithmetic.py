"""Sums, differences, products and quotients, with constants and between perturbed tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.operations import Affine, Refine, T, Writer
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.power import Reciprocal, Square
from robustsuite.bounds.relaxations.product import Product
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.shape import expand, shift
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten
Operand = Ref | Tensor | float


class Scale(Affine):
    """Multiply each entry with a constant of the example's shape."""

    def __init__(self, constant: Tensor) -> None:
        self._constant = constant

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0] * self._constant

    def interval(self, *xs: Bounds) -> Bounds:
        if xs[0].is_centered:
            total, width = xs[0].sum_and_width()
            return Bounds.centered(total * self._constant, width * self._constant.abs())
        # Written so that it is linear in the two ends, as `planes` needs it.
        rising = self._constant >= 0
        first, second = xs[0].lower * self._constant, xs[0].upper * self._constant
        return Bounds(torch.where(rising, first, second), torch.where(rising, second, first))

    def terms(self) -> int:
        return 1

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        constant = form.take(self._constant.unsqueeze(0)).unsqueeze(1)
        return (form.with_coefficients(form.a * constant),)

    def keeps_features_apart(self) -> bool:
        return True


class Add(Affine):
    """Add two perturbed tensors of one shape."""

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0] + xs[1]

    def interval(self, *xs: Bounds) -> Bounds:
        if all(x.is_centered for x in xs):
            (total, width), (other_total, other_width) = (x.sum_and_width() for x in xs)
            return Bounds.centered(total + other_total, width + other_width)
        return Bounds(xs[0].lower + xs[1].lower, xs[0].upper + xs[1].upper)

    def terms(self) -> int:
        return 2

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        return form, form

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        return rows


def _broadcast(g: Program, x: Ref, y: Ref) -> tuple[Ref, Ref]:
    shape = torch.broadcast_shapes(x.shape, y.shape)
    return expand(g, x, shape), expand(g, y, shape)


def scale(g: Program, x: Ref, constant: Tensor | float) -> Ref:
    """Multiply `x` with a constant, broadcasting both."""
    if not isinstance(constant, Tensor):
        constant = torch.tensor(float(constant), **constant_like(g))
    constant = constant.to(constant_like(g)["dtype"])
    x = expand(g, x, torch.broadcast_shapes(x.shape, constant.shape))
    return g.emit(Scale(constant.expand(x.shape)), x, shape=x.shape)


def add(
    g: Program,
    x: Operand,
    y: Operand,
    alpha: float = 1,
    *,
    refine: Refine | None = None,
    refine_from: Sequence[Ref] = (),
) -> Ref:
    """Give ``x + alpha * y``; at least one of them is perturbed. For `refine` see `Program.emit`."""
    if isinstance(x, Ref) and isinstance(y, Ref):
        if x.dtype == y.dtype == torch.bool:
            return _either(g, x, y)
        y = y if alpha == 1 else scale(g, y, alpha)
        if x.index == y.index:
            return scale(g, x, 2.0)
        x, y = _broadcast(g, x, y)
        return g.emit(Add(), x, y, shape=x.shape, refine=refine, refine_from=refine_from)
    if isinstance(x, Ref):
        return _add_constant(g, x, y, alpha)
    assert isinstance(y, Ref)
    return _add_constant(g, y if alpha == 1 else scale(g, y, alpha), x, 1)


def _add_constant(g: Program, x: Ref, constant: Any, alpha: float) -> Ref:
    if x.dtype == torch.bool and torch.as_tensor(constant).dtype == torch.bool:
        return _either(g, x, torch.as_tensor(constant, device=constant_like(g)["device"]))
    tensor = torch.as_tensor(constant, **constant_like(g)) * alpha
    return shift(g, expand(g, x, torch.broadcast_shapes(x.shape, tensor.shape)), tensor)


def _either(g: Program, x: Ref, y: Ref | Tensor) -> Ref:
    """Give the sum of two booleans as torch has it: 1 where either is 1."""
    if isinstance(y, Tensor):
        y = y.to(constant_like(g)["dtype"])
        x = expand(g, x, torch.broadcast_shapes(x.shape, y.shape))
        return shift(g, scale(g, x, 1 - y), y)
    x, y = _broadcast(g, x, y)
    return subtract(g, g.emit(Add(), x, y, shape=x.shape), g.emit(Product(), x, y, shape=x.shape))


def subtract(g: Program, x: Operand, y: Operand, alpha: float = 1) -> Ref:
    """Give ``x - alpha * y``."""
    if isinstance(x, Ref) and isinstance(y, Ref) and x.index == y.index and alpha == 1:
        return scale(g, x, 0.0)
    return add(g, x, y, -alpha)


def multiply(g: Program, x: Operand, y: Operand) -> Ref:
    """Give ``x * y``: scaled, squared (the same tensor twice) or a bilinear product."""
    if isinstance(x, Ref) and isinstance(y, Ref):
        if x.index == y.index:
            return apply_unary(g, x, Square())
        x, y = _broadcast(g, x, y)
        return g.emit(Product(), x, y, shape=x.shape)
    if isinstance(x, Ref):
        return scale(g, x, y)  # type: ignore[arg-type]
    assert isinstance(y, Ref)
    return scale(g, y, x)


def reciprocal(g: Program, x: Ref) -> Ref:
    """Give ``1 / x``; the interval of `x` must not hold 0."""
    return apply_unary(g, x, Reciprocal())


def divide(g: Program, x: Operand, y: Operand) -> Ref:
    """Give ``x / y``."""
    if isinstance(y, Ref):
        inverse = reciprocal(g, y)
        return multiply(g, x, inverse)
    assert isinstance(x, Ref)
    return scale(g, x, 1 / torch.as_tensor(y, **constant_like(g)))


TABLE: Table = {
    aten.add.Tensor: add,
    aten.add.Scalar: add,
    aten.sub.Tensor: subtract,
    aten.sub.Scalar: subtract,
    aten.rsub.Scalar: lambda g, x, y, alpha=1: subtract(g, y, x, alpha),
    aten.rsub.Tensor: lambda g, x, y, alpha=1: subtract(g, y, x, alpha),
    aten.mul.Tensor: multiply,
    aten.mul.Scalar: multiply,
    aten.div.Tensor: divide,
    aten.div.Scalar: divide,
    aten.neg.default: lambda g, x: scale(g, x, -1.0),
    aten.reciprocal.default: reciprocal,
    aten.square.default: lambda g, x: multiply(g, x, x),
}
