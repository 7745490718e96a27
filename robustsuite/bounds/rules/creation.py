"""Constant tensors shaped like a perturbed one: `zeros_like`, `new_ones` ... They depend on its shape alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def _full_like(g: Program, x: Ref, value: float, *, dtype: torch.dtype | None = None) -> Tensor:
    return _new_full(g, x, x.shape, value, dtype=dtype)


def _new_full(
    g: Program, x: Ref, shape: Sequence[int], value: float, *, dtype: torch.dtype | None = None
) -> Tensor:
    kind = constant_like(g)
    return torch.full(tuple(shape), value, device=kind["device"], dtype=dtype or x.dtype or kind["dtype"])


def _like(value: float) -> Callable[..., Tensor]:
    """Give the rule of an operator that takes the shape of its argument."""
    return lambda g, x, *, dtype=None: _full_like(g, x, value, dtype=dtype)


def _new(value: float) -> Callable[..., Tensor]:
    """Give the rule of an operator that is told the shape."""
    return lambda g, x, shape, *, dtype=None: _new_full(g, x, shape, value, dtype=dtype)


TABLE: Table = {
    aten.full_like.default: _full_like,
    aten.zeros_like.default: _like(0.0),
    aten.ones_like.default: _like(1.0),
    aten.new_full.default: _new_full,
    aten.new_zeros.default: _new(0.0),
    aten.new_ones.default: _new(1.0),
}
