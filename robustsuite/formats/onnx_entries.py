"""Operators of ONNX that move entries: reshape, slice, gather, pad and the like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats.onnx_types import Static


def integers(values: Static | Sequence[int] | None) -> list[int]:
    """Give whole numbers as a list; none where there are none."""
    return [] if values is None else [int(v) for v in np.asarray(values).ravel()]


def number(value: Any) -> float:
    """Give the only entry of a constant.

    Raises:
        UnsupportedOperator: it has several.
    """
    array = np.asarray(value)
    if array.size != 1:
        raise UnsupportedOperator(
            f"it takes a constant of shape {array.shape}; expected a single number; split the operator"
        )
    return float(array.item())


def take(x: Tensor, axis: int, index: Static) -> Tensor:
    """Give the entries along an axis that `index` (flattened, >= 0) names, in that order."""
    return x.index_select(axis, torch.as_tensor(index.reshape(-1), dtype=torch.int64, device=x.device))


def along(x: Tensor, axis: int, matrix: Static) -> Tensor:
    """Multiply by a matrix, shape (out, in), along an axis."""
    weight = torch.as_tensor(matrix, dtype=x.dtype, device=x.device)
    return functional.linear(x.movedim(axis, -1), weight).movedim(-1, axis)


def flat_pads(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Give paddings in the order of `torch.nn.functional.pad`: last axis first."""
    return [p for pair in reversed(list(zip(before, after, strict=True))) for p in pair]


def reshape(x: Tensor, shape: Static, *, allowzero: int = 0) -> Tensor:
    sizes = integers(shape)
    if not allowzero:
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(sizes)


def flatten(x: Tensor, *, axis: int) -> Tensor:
    axis = axis if axis >= 0 else axis + x.dim()
    return x.reshape(math.prod(x.shape[:axis]), -1)


def squeeze(x: Tensor, axes: Static | Sequence[int] | None = None) -> Tensor:
    where = integers(axes)
    if any(x.shape[axis] != 1 for axis in where):
        raise InvalidInput(f"axes is {where} for the shape {tuple(x.shape)}; expected axes of size 1")
    return x.squeeze() if axes is None else x.squeeze(tuple(where))


def squeeze_before_11(x: Tensor, *, axes: Sequence[int] | None = None) -> Tensor:
    """Squeeze as it was without axes counted from the end: runtimes differ in what they make of such."""
    if any(axis < 0 for axis in axes or ()):
        raise UnsupportedOperator(
            f"axes is {list(axes or ())}; expected numbers >= 0 before version 11; count so"
        )
    return squeeze(x, axes)


def unsqueeze(x: Tensor, axes: Static | Sequence[int]) -> Tensor:
    rank = x.dim() + len(integers(axes))
    for axis in sorted(a % rank for a in integers(axes)):
        x = x.unsqueeze(axis)
    return x


def unsqueeze_before_11(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    """Unsqueeze without axes that are counted from the end."""
    _check_counted_from_the_start(axes)
    return unsqueeze(x, axes)


def _check_counted_from_the_start(axes: Sequence[int] | None) -> None:
    """Runtimes differ in what they make of others where the version does not have them."""
    if any(axis < 0 for axis in axes or ()):
        raise UnsupportedOperator(
            f"axes is {list(axes or ())}; expected numbers >= 0 before version 11; count so"
        )


def concat(*xs: Tensor, axis: int) -> Tensor:
    return torch.cat(xs, axis)


def split(
    x: Tensor, split: Static | Sequence[int] | None = None, *, axis: int, num_outputs: int
) -> tuple[Tensor, ...]:
    sizes = integers(split)
    if not sizes:
        size = math.ceil(x.shape[axis] / num_outputs)
        sizes = [size] * (num_outputs - 1) + [x.shape[axis] - size * (num_outputs - 1)]
    if min(sizes) < 0 or sum(sizes) != x.shape[axis]:
        raise InvalidInput(f"its parts are {sizes} of {x.shape[axis]} entries; expected them to sum up")
    return tuple(x.split(sizes, axis))


def slice_(
    x: Tensor,
    starts: Static | Sequence[int],
    ends: Static | Sequence[int],
    axes: Static | Sequence[int] | None = None,
    steps: Static | Sequence[int] | None = None,
) -> Tensor:
    begins, stops = integers(starts), integers(ends)
    where = integers(axes) if axes is not None else list(range(len(begins)))
    strides = integers(steps) if steps is not None else [1] * len(begins)
    for begin, stop, axis, stride in zip(begins, stops, where, strides, strict=True):
        taken = range(x.shape[axis])[slice(begin, stop, stride)]
        if stride > 0:
            x = x.movedim(axis, 0)[taken.start : max(taken.start, taken.stop) : stride].movedim(0, axis)
        else:
            x = take(x, axis, np.array(taken, dtype=np.int64))
    return x


def gather(x: Tensor, indices: Static, *, axis: int) -> Tensor:
    axis = axis % x.dim()
    taken = take(x, axis, _counted(indices, x.shape[axis]))
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def gather_elements(x: Tensor, indices: Static, *, axis: int) -> Tensor:
    index = _counted(indices, x.shape[axis])
    return x.gather(axis, torch.as_tensor(index, dtype=torch.int64, device=x.device))


def _counted(indices: Static, size: int) -> Static:
    """Count negative indices from the end."""
    index: Static = np.where(indices < 0, indices + size, indices)
    if index.size and not 0 <= index.min() <= index.max() < size:
        raise InvalidInput(f"its indices reach beyond an axis of {size} entries; expected them in it")
    return index


def pad(
    x: Tensor,
    pads: Static | Sequence[int],
    constant_value: Any = None,
    axes: Static | None = None,
    *,
    mode: str,
    value: float = 0.0,
) -> Tensor:
    sizes = integers(pads)
    where = [a % x.dim() for a in integers(axes)] if axes is not None else list(range(x.dim()))
    if len(sizes) != 2 * len(where) or len(set(where)) != len(where):
        raise InvalidInput(f"pads has {len(sizes)} numbers for {len(where)} axes; expected two for each axis")
    before, after = [0] * x.dim(), [0] * x.dim()
    for i, axis in enumerate(where):
        before[axis], after[axis] = sizes[i], sizes[i + len(where)]
    if mode == "constant":
        fill = value if constant_value is None else number(constant_value)
        return functional.pad(x, flat_pads(before, after), value=fill)
    for axis, (low, high) in enumerate(zip(before, after, strict=True)):
        if low or high:
            x = take(x, axis, _padded(x.shape[axis], low, high, mode))
    return x


def _padded(size: int, before: int, after: int, mode: str) -> Static:
    """Give the entries of an axis that a padded axis holds."""
    if min(before, after) < 0:
        raise UnsupportedOperator(
            f"pads holds {min(before, after)} with mode {mode!r}; expected numbers >= 0; slice instead"
        )
    index: Static = np.arange(-before, size + after)
    if mode == "edge":
        return index.clip(0, size - 1)
    if mode == "reflect" and max(before, after) < size:
        index = size - 1 - np.abs(size - 1 - np.abs(index))
        return index
    if mode == "wrap" and max(before, after) <= size:
        return index % size
    raise UnsupportedOperator(
        f"it pads {max(before, after)} to an axis of {size} entries with mode {mode!r}; expected one of constant, "
        "edge, reflect and wrap, the last two with fewer entries than the axis has"
    )


def expand(x: Tensor, shape: Static) -> Tensor:
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(integers(shape))))


def tile(x: Tensor, repeats: Static) -> Tensor:
    return x.repeat(integers(repeats))


def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(tuple(perm) if perm else tuple(reversed(range(x.dim()))))


def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    if mode == "CRD":
        return functional.pixel_shuffle(x, blocksize)
    n, c, h, w = x.shape
    y = x.reshape(n, blocksize, blocksize, c // blocksize**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // blocksize**2, h * blocksize, w * blocksize)


def space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


def trilu(x: Tensor, k: Static | None = None, *, upper: int) -> Tensor:
    diagonal = 0 if k is None else int(number(k))
    return x.triu(diagonal) if upper else x.tril(diagonal)
