"""Casts between dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.casts import Rounded
from robustsuite.bounds.relaxations.steps import TRUNC, IsZero
from robustsuite.bounds.relaxations.unary import Unary, apply_unary
from robustsuite.bounds.rules.arithmetic import subtract
from robustsuite.bounds.rules.table import Table, constant_like
from robustsuite.errors import UnboundedOutput

aten = torch.ops.aten
_WHOLE = 2**53  # whole numbers that every dtype in between holds


def cast(g: Program, x: Ref, *, dtype: torch.dtype | None = None) -> Ref:
    """Keep `x` in another dtype: rounded, cut to whole numbers, or asked whether it is 0.

    A floating point dtype at least as fine as that of the inputs holds every number as it is.
    """
    source = x.dtype or constant_like(g)["dtype"]
    if dtype is None or dtype == source:
        return x
    if dtype == torch.bool:
        return subtract(g, 1.0, apply_unary(g, x, IsZero()))
    if not dtype.is_floating_point:
        if source == torch.bool:
            return x
        within = partial(_within_range, dtype=dtype)
        return g.emit(Unary(TRUNC), x, shape=x.shape, refine=within, refine_from=[x])
    coarse = torch.finfo(dtype).eps > torch.finfo(constant_like(g)["dtype"]).eps
    return apply_unary(g, x, Rounded(dtype)) if coarse and source != torch.bool else x


def _within_range(inputs: Sequence[Bounds], *, dtype: torch.dtype) -> Bounds:
    """Give no interval, but check that a cast has a defined result (a `Refine`).

    Raises:
        UnboundedOutput: numbers may lie beyond the range of the dtype.
    """
    low, high = inputs[0].lower, inputs[0].upper
    kind = torch.iinfo(dtype)
    least, most = max(kind.min, -_WHOLE), min(kind.max, _WHOLE)
    if bool(((low.trunc() < least) | (high.trunc() > most)).any()):
        raise UnboundedOutput(
            f"a cast to {dtype} overflows on this region: whole numbers from {least} to {most} are understood; use a "
            "smaller eps, or clamp before the cast"
        )
    return Bounds(torch.full_like(low, -torch.inf), torch.full_like(high, torch.inf))


TABLE: Table = {aten._to_copy.default: cast}
