"""Convolutions and poolings of ONNX: strides, dilations, paddings and the sizes that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import UnsupportedOperator
from robustsuite.formats.onnx_entries import along, flat_pads, take
from robustsuite.formats.onnx_types import Static

_CONV: dict[int, Any] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED: dict[int, Any] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
_MAX_POOL: dict[int, Any] = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVG_POOL: dict[int, Any] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows along one axis.

    Attributes:
        size: of the axis.
        kernel, stride, dilation: of the windows.
        before, after: entries of padding.
        count: of windows.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count: int

    @property
    def plain(self) -> bool:
        """Whether torch's own functions have this form: even padding, of half a window at the most."""
        return self.before == self.after and 2 * self.before <= self.kernel

    def positions(self) -> Static:
        """Give the entries that each window sees, shape (count, kernel); those in the padding are outside the axis."""
        starts = np.arange(self.count)[:, None] * self.stride - self.before
        return starts + np.arange(self.kernel) * self.dilation


def _windows(
    space: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> list[_Windows]:
    rank = len(space)
    if rank not in _CONV or len(kernel) != rank:
        raise UnsupportedOperator(
            f"its windows have {len(kernel)} axes and its input has {rank} axes of space; expected the same number, "
            "up to 3"
        )
    found = []
    for axis, (n, k) in enumerate(zip(space, kernel, strict=True)):
        s = strides[axis] if strides else 1
        d = dilations[axis] if dilations else 1
        extent = (k - 1) * d + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            count = math.ceil(n / s)
            total = max(0, (count - 1) * s + extent - n)
            less, more = total // 2, total - total // 2
            before, after = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
        else:
            padded = auto_pad == "NOTSET" and bool(pads)
            before, after = (pads[axis], pads[axis + rank]) if pads and padded else (0, 0)
            room = n + before + after - extent
            count = (math.ceil(room / s) if ceil_mode else room // s) + 1
            if ceil_mode and (count - 1) * s >= n + before:
                count -= 1  # a window must not begin in the padding behind
        if min(before, after) < 0:
            raise UnsupportedOperator(
                f"pads is {list(pads or [])}; expected numbers >= 0; slice its input instead"
            )
        found.append(_Windows(n, k, s, d, before, after, count))
    return found


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    group: int,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str,
    kernel_shape: Sequence[int] | None = None,
) -> Tensor:
    kernel = weight.shape[2:]
    _check_kernel(kernel, kernel_shape)
    windows = _windows(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    before, after = [w.before for w in windows], [w.after for w in windows]
    if before != after:
        x, before = functional.pad(x, flat_pads(before, after)), [0] * len(windows)
    y: Tensor = _CONV[len(windows)](
        x, weight, bias, [w.stride for w in windows], before, [w.dilation for w in windows], group
    )
    return y


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    group: int,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
) -> Tensor:
    kernel = list(weight.shape[2:])
    _check_kernel(kernel, kernel_shape)
    rank = len(kernel)
    if rank not in _TRANSPOSED:
        raise UnsupportedOperator(f"its kernel has {rank} axes; expected 1 to 3")
    stride, dilation = list(strides or [1] * rank), list(dilations or [1] * rank)
    extra = list(output_padding or [0] * rank)
    before, after = [0] * rank, [0] * rank
    for axis, (n, k, s, d, e) in enumerate(zip(x.shape[2:], kernel, stride, dilation, extra, strict=True)):
        whole = (n - 1) * s + e + (k - 1) * d + 1
        if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            wanted = list(output_shape)[-rank:][axis] if output_shape else n * s
            if wanted > whole:
                raise UnsupportedOperator(
                    f"its output shall have {wanted} entries along an axis, and the kernel reaches {whole}; "
                    "pad its output instead"
                )
            less, more = (whole - wanted) // 2, (whole - wanted) - (whole - wanted) // 2
            before[axis], after[axis] = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
        elif auto_pad == "NOTSET" and pads:
            before[axis], after[axis] = pads[axis], pads[axis + rank]
    if before == after:
        y: Tensor = _TRANSPOSED[rank](x, weight, bias, stride, before, extra, group, dilation)
        return y
    y = _TRANSPOSED[rank](x, weight, bias, stride, 0, extra, group, dilation)
    return functional.pad(y, [-p for p in flat_pads(before, after)])


def _check_kernel(kernel: Sequence[int], declared: Sequence[int] | None) -> None:
    if declared and list(declared) != list(kernel):
        raise UnsupportedOperator(
            f"kernel_shape is {list(declared)} and the weight's is {list(kernel)}; expected the same"
        )


def _pool_windows(
    space: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    ceil_mode: int,
) -> list[_Windows]:
    if auto_pad.startswith("SAME") and any(d != 1 for d in dilations or []):
        # Versions of the schema and onnxruntime differ in what they pad then.
        raise UnsupportedOperator(
            f"auto_pad is {auto_pad!r} with dilations {list(dilations or [])}; expected 'NOTSET'; export explicit pads"
        )
    return _windows(space, kernel, strides, dilations, pads, auto_pad, ceil_mode)


def max_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str,
    ceil_mode: int = 0,
    storage_order: int = 0,  # of the indices, which are not given
) -> Tensor:
    windows = _pool_windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    pool = _MAX_POOL[len(windows)]
    if all(window.plain for window in windows):
        y: Tensor = pool(
            x,
            [w.kernel for w in windows],
            [w.stride for w in windows],
            [w.before for w in windows],
            [w.dilation for w in windows],
            bool(ceil_mode) and auto_pad in ("NOTSET", "VALID"),
        )
        if list(y.shape[2:]) == [w.count for w in windows]:
            return y
    # Lay the windows side by side: an entry in the padding stands for one that its window sees anyway.
    for axis, window in enumerate(windows, start=2):
        positions = window.positions()
        inside = (positions >= 0) & (positions < window.size)
        if not inside.any(1).all():
            raise UnsupportedOperator(
                "one of its windows lies in the padding alone; export it with smaller pads"
            )
        seen = np.where(inside, positions, positions[np.arange(window.count), inside.argmax(1)][:, None])
        x = take(x, axis, seen)
    kernel = [w.kernel for w in windows]
    y = pool(x, kernel, kernel)
    return y


def average_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    auto_pad: str,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
) -> Tensor:
    windows = _pool_windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if not ceil_mode and all(window.plain and window.dilation == 1 for window in windows):
        sizes = [w.kernel for w in windows], [w.stride for w in windows], [w.before for w in windows]
        y: Tensor = _AVG_POOL[len(windows)](x, *sizes, False, bool(count_include_pad))
        return y
    # The mean over a window is one mean after the other, along each axis.
    for axis, window in enumerate(windows, start=2):
        positions = window.positions()
        inside = (positions >= 0) & (positions < window.size)
        counted = (positions < window.size + window.after) if count_include_pad else inside
        if not counted.any(1).all():
            raise UnsupportedOperator(
                "one of its windows lies in the padding alone; export it with smaller pads"
            )
        matrix = np.zeros((window.count, window.size))
        rows, places = np.nonzero(inside)
        matrix[rows, positions[rows, places]] = 1 / counted.sum(1)[rows]
        x = along(x, axis, matrix)
    return x
