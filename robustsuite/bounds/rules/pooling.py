"""Average and maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.operations import LinearMap
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.maximum import Maximum
from robustsuite.bounds.rules.arithmetic import scale
from robustsuite.bounds.rules.convolution import convolution
from robustsuite.bounds.rules.refusal import Places, refuse
from robustsuite.bounds.rules.shape import moved, reshape
from robustsuite.bounds.rules.table import Table, constant_like, shape_of

aten = torch.ops.aten
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_ADAPTIVE: dict[int, Any] = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}


def _pair(values: int | Sequence[int], dims: int) -> list[int]:
    values = [values] if isinstance(values, int) else list(values)
    return values * dims if len(values) == 1 else values


def average_pool(
    g: Program,
    x: Ref,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
    *,
    dims: int = 2,
) -> Ref:
    """Average over windows. As a convolution, one group per channel, where it is one."""
    if divisor is not None and divisor < 0:
        counted = ceil_mode, count_include_pad, -divisor
        return scale(g, average_pool(g, x, kernel, stride, padding, *counted, dims=dims), -1.0)
    kernel, padding = _pair(kernel, dims), _pair(padding, dims)
    stride = _pair(stride or kernel, dims)
    if dims == 2 and not ceil_mode and divisor is None and (count_include_pad or not any(padding)):
        channels = x.shape[-3]
        weight = torch.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]), **constant_like(g))
        return convolution(g, x, weight, None, stride, padding, [1, 1], groups=channels)
    extra = {} if dims == 1 else {"divisor_override": divisor}
    space = x.shape[-dims - 1 :]

    def apply(t: Tensor) -> Tensor:
        images = t.reshape(-1, *space)
        pooled = _AVERAGE[dims](images, kernel, stride, padding, ceil_mode, count_include_pad, **extra)
        return torch.reshape(pooled, (len(t), *x.shape[: -dims - 1], *pooled.shape[1:]))

    return g.emit(LinearMap(apply, [x.shape]), x, shape=shape_of(apply, x.shape))


def _adaptive_average(g: Program, x: Ref, size: Sequence[int], *, dims: int = 2) -> Ref:
    space = x.shape[-dims - 1 :]

    def apply(t: Tensor) -> Tensor:
        pooled = _ADAPTIVE[dims](t.reshape(-1, *space), list(size))
        return torch.reshape(pooled, (len(t), *x.shape[: -dims - 1], *pooled.shape[1:]))

    return g.emit(LinearMap(apply, [x.shape]), x, shape=shape_of(apply, x.shape))


def _window_entries(
    space: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Tensor:
    """List the flat positions of each window's entries, shape (*windows, entries of a kernel).

    Padding counts as minus infinity, so a padded place may as well repeat an entry of the same window.
    """
    dims = len(space)
    positions = torch.arange(torch.Size(space).numel(), dtype=torch.float64).view(1, 1, *space)
    padded = functional.pad(positions, [p for p in reversed(padding) for _ in (0, 1)], value=-1.0)
    if ceil_mode:  # room for a last, cut window
        padded = functional.pad(padded, [n for s in reversed(stride) for n in (0, s - 1)], value=-1.0)
    grid = padded[0, 0]
    for axis in range(dims):
        count = (grid.shape[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        if ceil_mode and (count - 1) * stride[axis] >= space[axis] + padding[axis]:
            count -= 1
        starts = torch.arange(count).unsqueeze(1) * stride[axis]
        index = starts + torch.arange(kernel[axis]) * dilation[axis]
        grid = grid[(slice(None),) * axis + (index.flatten(),)]
        grid = grid.unflatten(axis, (count, kernel[axis])).movedim(axis + 1, -1)
    entries = grid.flatten(dims).long()
    return torch.where(entries >= 0, entries, entries.amax(-1, keepdim=True))


def maximum_pool(
    g: Program,
    x: Ref,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
    *,
    dims: int = 2,
) -> tuple[Ref, Places]:
    """Take the maximum over windows: their entries are gathered on a new last axis, then reduced."""
    kernel, padding, dilation = (_pair(v, dims) for v in (kernel, padding, dilation))
    stride = _pair(stride or kernel, dims)
    entries = _window_entries(x.shape[-dims:], kernel, stride, padding, dilation, ceil_mode)
    return _maximum_over(g, x, entries, dims)


def _adaptive_maximum(g: Program, x: Ref, output_size: Sequence[int], *, dims: int) -> tuple[Ref, Places]:
    """Take the maximum over windows that share out each axis evenly; the smaller ones repeat their last entry."""
    if not all(count > 0 for count in output_size):
        refuse(g, "output_size", list(output_size), "sizes > 0")
    entries = torch.zeros((1,), dtype=torch.long)
    for n, count in zip(x.shape[-dims:], output_size, strict=True):
        start = torch.arange(count) * n // count
        end = ((torch.arange(count) + 1) * n + count - 1) // count
        along = torch.arange(int((end - start).max()))
        index = torch.minimum(start.unsqueeze(1) + along, end.unsqueeze(1) - 1)
        shape = (*entries.shape[:-1], 1, entries.shape[-1], 1)
        entries = (entries.reshape(shape) * n + index.unsqueeze(1)).flatten(-2)
    return _maximum_over(g, x, entries, dims)


def _maximum_over(g: Program, x: Ref, entries: Tensor, dims: int) -> tuple[Ref, Places]:
    """Take the maximum over the flat positions (*windows, entries), some of which may be repeated."""
    entries = entries.to(constant_like(g)["device"])
    flat = reshape(g, x, (*x.shape[:-dims], -1))
    windows = moved(lambda t: t[..., entries.flatten()].unflatten(-1, tuple(entries.shape)))(g, flat)
    order, positions = entries.sort(dim=-1, stable=True)
    repeats = functional.pad(order[..., 1:] == order[..., :-1], (1, 0))
    repeated = torch.zeros_like(repeats).scatter(-1, positions, repeats)
    op = Maximum(repeated if bool(repeats.any()) else None)
    return g.emit(op, windows, shape=windows.shape[:-1]), Places(g.where)


TABLE: Table = {
    aten.avg_pool1d.default: partial(average_pool, dims=1),
    aten.avg_pool2d.default: average_pool,
    aten.avg_pool3d.default: partial(average_pool, dims=3),
    aten._adaptive_avg_pool2d.default: _adaptive_average,
    aten.adaptive_avg_pool1d.default: lambda g, x, size: _adaptive_average(g, x, size, dims=1),
    aten._adaptive_avg_pool3d.default: lambda g, x, size: _adaptive_average(g, x, size, dims=3),
    aten.max_pool2d_with_indices.default: maximum_pool,
    aten.adaptive_max_pool2d.default: partial(_adaptive_maximum, dims=2),
    aten.adaptive_max_pool3d.default: partial(_adaptive_maximum, dims=3),
    aten.max_pool3d_with_indices.default: partial(maximum_pool, dims=3),
}
