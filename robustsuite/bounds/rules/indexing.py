"""Picking entries by constant indices, and resampling images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.operations import LinearMap
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.arithmetic import scale
from robustsuite.bounds.rules.shape import axis_after, moved
from robustsuite.bounds.rules.table import Table, constant_like, shape_of

aten = torch.ops.aten


def _gather(g: Program, x: Ref, dim: int, index: Any) -> Ref:
    def pick(t: Tensor) -> Tensor:
        return t.gather(axis_after(dim), index.to(t.device).unsqueeze(0).expand(len(t), *index.shape))

    return moved(pick)(g, x)


def _index_select(g: Program, x: Ref, dim: int, index: Tensor) -> Ref:
    return moved(lambda t: t.index_select(axis_after(dim), index.to(t.device)))(g, x)


def _index(g: Program, x: Ref, indices: Sequence[Tensor | None]) -> Ref:
    # What the indices make of the entries' numbers: indices that stand apart would take an axis of rows with them.
    given = tuple(slice(None) if i is None else i.cpu() for i in indices)
    entries = torch.arange(x.numel).view(x.shape)[given].to(constant_like(g)["device"])

    def pick(t: Tensor) -> Tensor:
        return t.flatten(1)[:, entries.to(t.device)]

    return moved(pick)(g, x)


def _tril(g: Program, x: Ref, diagonal: int = 0) -> Ref:
    return scale(g, x, torch.ones(x.shape[-2:], **constant_like(g)).tril(diagonal))


def _triu(g: Program, x: Ref, diagonal: int = 0) -> Ref:
    return scale(g, x, torch.ones(x.shape[-2:], **constant_like(g)).triu(diagonal))


def _image_map(g: Program, x: Ref, function: Callable[[Tensor], Tensor]) -> Ref:
    """Apply a linear, non-negative function of image batches (count, channels, height, width)."""

    def apply(t: Tensor) -> Tensor:
        images = function(t.flatten(0, 1))
        return images.reshape(len(t), -1, *images.shape[1:])

    return g.emit(LinearMap(apply, [x.shape]), x, shape=shape_of(apply, x.shape))


def _nearest(g: Program, x: Ref, size: Sequence[int] | None, factors: Sequence[float] | None = None) -> Ref:
    # A scale given as such decides where pixels are taken, not only how many there are.
    return _image_map(g, x, lambda t: aten.upsample_nearest2d.vec(t, size, factors))


def _bilinear(
    g: Program, x: Ref, size: Sequence[int] | None, align: bool, factors: Sequence[float] | None = None
) -> Ref:
    return _image_map(g, x, lambda t: aten.upsample_bilinear2d.vec(t, size, align, factors))


def _reflect(g: Program, x: Ref, pad: Sequence[int]) -> Ref:
    return moved(
        lambda t: functional.pad(t.flatten(0, 1), list(pad), mode="reflect").unflatten(0, t.shape[:2])
    )(g, x)


def _replicate(g: Program, x: Ref, pad: Sequence[int]) -> Ref:
    return moved(
        lambda t: functional.pad(t.flatten(0, 1), list(pad), mode="replicate").unflatten(0, t.shape[:2])
    )(g, x)


TABLE: Table = {
    aten.gather.default: _gather,
    aten.index_select.default: _index_select,
    aten.index.Tensor: _index,
    aten.tril.default: _tril,
    aten.triu.default: _triu,
    aten.upsample_nearest2d.vec: _nearest,
    aten.upsample_bilinear2d.vec: _bilinear,
    aten.pixel_shuffle.default: lambda g, x, factor: _image_map(
        g, x, lambda t: functional.pixel_shuffle(t, factor)
    ),
    aten.pixel_unshuffle.default: lambda g, x, factor: _image_map(
        g, x, lambda t: functional.pixel_unshuffle(t, factor)
    ),
    aten.reflection_pad1d.default: _reflect,
    aten.reflection_pad2d.default: _reflect,
    aten.replication_pad2d.default: _replicate,
}
