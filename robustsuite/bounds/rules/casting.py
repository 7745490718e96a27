"""Casts between dtypes."""

from __future__ import annotations

import torch

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.casts import NotZero, Rounded, Truncated
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def cast(g: Program, x: Ref, *, dtype: torch.dtype | None = None) -> Ref:
    """Keep `x` in another dtype: rounded, cut to whole numbers, or asked whether it is 0.

    A floating point dtype at least as fine as that of the inputs holds every number as it is.
    """
    source = x.dtype or constant_like(g)["dtype"]
    if dtype is None or dtype == source:
        return x
    if dtype == torch.bool:
        return apply_unary(g, x, NotZero())
    if not dtype.is_floating_point:
        return x if source == torch.bool else apply_unary(g, x, Truncated(dtype))
    coarse = torch.finfo(dtype).eps > torch.finfo(constant_like(g)["dtype"]).eps
    return apply_unary(g, x, Rounded(dtype)) if coarse and source != torch.bool else x


TABLE: Table = {aten._to_copy.default: cast}
