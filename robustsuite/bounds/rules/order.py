"""Sorting, the largest entries, medians and running extremes: values have bounds, their places have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.order import OrderStatistics
from robustsuite.bounds.rules.refusal import Places, refuse
from robustsuite.bounds.rules.selection import maximum, minimum
from robustsuite.bounds.rules.shape import cat, permute, reshape, slice_axis
from robustsuite.bounds.rules.table import Table

aten = torch.ops.aten


def _ranked(g: Program, x: Ref, dim: int, ranks: Sequence[int]) -> Ref:
    """Give the entries of some ranks along an axis, which then has their number as its size."""
    if not x.shape:
        return x
    axis = dim % len(x.shape)
    order = [a for a in range(len(x.shape)) if a != axis] + [axis]
    last = permute(g, x, order)
    made = g.emit(OrderStatistics(ranks), last, shape=(*last.shape[:-1], len(ranks)))
    return permute(g, made, [order.index(a) for a in range(len(order))])


def _size(x: Ref, dim: int) -> int:
    return x.shape[dim] if x.shape else 1


def _sort(g: Program, x: Ref, dim: int = -1, descending: bool = False) -> tuple[Ref, Places]:
    ranks = range(_size(x, dim))
    return _ranked(g, x, dim, list(reversed(ranks) if descending else ranks)), Places(g.where)


def _stable_sort(
    g: Program, x: Ref, *, stable: bool | None, dim: int = -1, descending: bool = False
) -> tuple[Ref, Places]:
    return _sort(g, x, dim, descending)  # which of two equal entries comes first does not show in the values


def _top(
    g: Program, x: Ref, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Ref, Places]:
    if not sorted:
        refuse(g, "sorted", sorted, "True, as the order is left open otherwise")
    size = _size(x, dim)
    ranks = range(size - 1, size - 1 - k, -1) if largest else range(k)
    return _ranked(g, x, dim, list(ranks)), Places(g.where)


def _rank(g: Program, x: Ref, rank: int, dim: int, keepdim: bool) -> tuple[Ref, Places]:
    made = _ranked(g, x, dim, [rank])
    if not keepdim and x.shape:
        axis = dim % len(x.shape)
        made = reshape(g, made, (*x.shape[:axis], *x.shape[axis + 1 :]))
    return made, Places(g.where)


def _kth(g: Program, x: Ref, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Ref, Places]:
    return _rank(g, x, k - 1, dim, keepdim)


def _median(g: Program, x: Ref, dim: int, keepdim: bool = False) -> tuple[Ref, Places]:
    return _rank(g, x, (_size(x, dim) - 1) // 2, dim, keepdim)  # the lower of two, as torch takes it


def _running(join: Callable[[Program, Ref, Ref], Ref]) -> Callable[[Program, Ref, int], tuple[Ref, Places]]:
    def rule(g: Program, x: Ref, dim: int) -> tuple[Ref, Places]:
        axis = dim % len(x.shape)
        parts = [slice_axis(g, x, axis, i, i + 1) for i in range(x.shape[axis])]
        for i in range(1, len(parts)):
            parts[i] = join(g, parts[i - 1], parts[i])
        return cat(g, parts, axis) if len(parts) > 1 else x, Places(g.where)

    return rule


TABLE: Table = {
    aten.sort.default: _sort,
    aten.sort.stable: _stable_sort,
    aten.topk.default: _top,
    aten.kthvalue.default: _kth,
    aten.median.dim: _median,
    aten.cummax.default: _running(maximum),
    aten.cummin.default: _running(minimum),
}
