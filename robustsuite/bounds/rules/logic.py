"""Logic of conditions on the input: a tensor counts as true where it is not 0, and truth is 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.steps import IsZero
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.arithmetic import add, multiply, scale, subtract
from robustsuite.bounds.rules.selection import largest, smallest
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def _negation(g: Program, x: Ref | Tensor) -> Ref | Tensor:
    if isinstance(x, Ref):
        return apply_unary(g, x, IsZero())
    return (x == 0).to(constant_like(g)["dtype"])


def _truth(g: Program, x: Ref | Tensor) -> Ref | Tensor:
    negation = _negation(g, x)
    return subtract(g, 1.0, negation) if isinstance(negation, Ref) else 1 - negation


def _not(g: Program, x: Ref) -> Ref:
    return apply_unary(g, x, IsZero())


def _and(g: Program, x: Ref | Tensor, y: Ref | Tensor) -> Ref:
    return multiply(g, _truth(g, x), _truth(g, y))


def _or(g: Program, x: Ref | Tensor, y: Ref | Tensor) -> Ref:
    return subtract(g, 1.0, multiply(g, _negation(g, x), _negation(g, y)))


def _xor(g: Program, x: Ref | Tensor, y: Ref | Tensor) -> Ref:
    first, second = _truth(g, x), _truth(g, y)
    return add(g, add(g, first, second), scale(g, multiply(g, first, second), -2.0))


def _any(g: Program, x: Ref, dim: Sequence[int] | int | None = None, keepdim: bool = False) -> Ref:
    truth = _truth(g, x)
    assert isinstance(truth, Ref)
    return largest(g, truth, () if dim is None else dim, keepdim)


def _all(g: Program, x: Ref, dim: Sequence[int] | int | None = None, keepdim: bool = False) -> Ref:
    truth = _truth(g, x)
    assert isinstance(truth, Ref)
    return smallest(g, truth, () if dim is None else dim, keepdim)


TABLE: Table = {
    aten.logical_not.default: _not,
    aten.logical_and.default: _and,
    aten.logical_or.default: _or,
    aten.logical_xor.default: _xor,
    aten.any.dim: _any,
    aten.any.dims: _any,
    aten.all.dim: _all,
    aten.all.dims: _all,
}
