"""Sums and means over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm, Shape
from robustsuite.bounds.operations import Affine
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.arithmetic import scale
from robustsuite.bounds.rules.shape import moved
from robustsuite.bounds.rules.table import Table

aten = torch.ops.aten


class Sum(Affine):
    """Add up the entries along some axes of the example, which are kept with size 1 or dropped."""

    def __init__(self, before: Shape, axes: Sequence[int], *, keepdim: bool) -> None:
        self._before, self._axes, self._keepdim = before, tuple(a % len(before) for a in axes), keepdim

    @property
    def after(self) -> Shape:
        """Shape of the output for one example."""
        kept = [1 if i in self._axes else s for i, s in enumerate(self._before)]
        return tuple(s for i, s in enumerate(kept) if self._keepdim or i not in self._axes)

    def forward(self, *xs: Tensor) -> Tensor:
        if not self._axes:
            return xs[0]  # a single number; torch would sum over the rows
        return xs[0].sum([a + 1 for a in self._axes], keepdim=self._keepdim)

    def interval(self, *xs: Bounds) -> Bounds:
        return xs[0].mapped(self.forward)

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        kept = [1 if i in self._axes else s for i, s in enumerate(self._before)]
        a = dense.a.reshape(*dense.a.shape[:2], *kept).expand(-1, -1, *self._before)
        return (dense.like(a),)


def total(g: Program, x: Ref, axes: Sequence[int] | int | None = None, keepdim: bool = False) -> Ref:
    """Sum over `axes`, all of them by default."""
    axes = [axes] if isinstance(axes, int) else list(axes or range(len(x.shape)))
    op = Sum(x.shape, axes, keepdim=keepdim)
    return g.emit(op, x, shape=op.after)


def mean(g: Program, x: Ref, axes: Sequence[int] | int | None = None, keepdim: bool = False) -> Ref:
    """Average over `axes`, all of them by default."""
    axes = [axes] if isinstance(axes, int) else list(axes or range(len(x.shape)))
    count = math.prod(x.shape[a] for a in axes)
    return scale(g, total(g, x, axes, keepdim), 1 / count)


TABLE: Table = {
    aten.sum.default: lambda g, x: total(g, x),
    aten.sum.dim_IntList: total,
    aten.mean.default: lambda g, x: mean(g, x),
    aten.mean.dim: mean,
    aten.cumsum.default: lambda g, x, dim: moved(lambda t: t.cumsum(dim + 1 if dim >= 0 else dim))(g, x),
}
