"""Constant tensors shaped like a perturbed one: `zeros_like`, `new_ones` ... They depend on its shape alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def _like(value: float | None = None) -> Callable[..., Tensor]:
    """Give the rule of an operator that takes the shape of its argument; `value` None: of its second argument."""

    def rule(g: Program, x: Ref, *args: Any, **kwargs: Any) -> Tensor:
        return torch.full(x.shape, args[0] if value is None else value, **_kind(g, kwargs))

    return rule


def _new(value: float | None = None) -> Callable[..., Tensor]:
    """Give the rule of an operator that is told the shape; `value` None: and the value after it."""

    def rule(g: Program, x: Ref, shape: Sequence[int], *args: Any, **kwargs: Any) -> Tensor:
        return torch.full(tuple(shape), args[0] if value is None else value, **_kind(g, kwargs))

    return rule


def _kind(g: Program, kwargs: dict[str, Any]) -> dict[str, Any]:
    kind = constant_like(g)
    return kind | {"dtype": kwargs.get("dtype") or kind["dtype"]}


TABLE: Table = {
    aten.full_like.default: _like(),
    aten.zeros_like.default: _like(0.0),
    aten.ones_like.default: _like(1.0),
    aten.new_full.default: _new(),
    aten.new_zeros.default: _new(0.0),
    aten.new_ones.default: _new(1.0),
}
