"""Resize and Upsample of ONNX: along each axis a choice of entries, or a matrix of weights.

Places are computed in float32, as onnxruntime does: where a place lies half way, rounding decides. Source: the
schema of Resize, versions 10 to 19.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from robustsuite.errors import UnsupportedOperator
from robustsuite.formats.onnx_entries import along, integers, take
from robustsuite.formats.onnx_types import Static

_F = np.float32
_Places = Callable[[Static, np.float32, int, int], Static]


def _symmetric(i: Static, scale: np.float32, size: int, count: int) -> Static:
    offset = _F(size) / _F(2) * (_F(1) - _F(count) / (scale * _F(size)))
    return offset + (i + _F(0.5)) / scale - _F(0.5)


_PLACES: dict[str, _Places] = {
    "half_pixel": lambda i, scale, size, count: (i + _F(0.5)) / scale - _F(0.5),
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": lambda i, scale, size, count: (
        (i + _F(0.5)) / scale - _F(0.5) if count > 1 else _F(0) * i
    ),
    "asymmetric": lambda i, scale, size, count: i / scale,
    "align_corners": lambda i, scale, size, count: (
        i * _F(size - 1) / _F(count - 1) if count > 1 else _F(0) * i
    ),
    "tf_half_pixel_for_nn": lambda i, scale, size, count: (i + _F(0.5)) / scale,
}
"""Where entry i of the result lies in the input, from the scale, the input's size and the result's."""

_NEAREST: dict[str, Callable[[Static], Static]] = {
    "round_prefer_floor": lambda place: np.ceil(place - _F(0.5)),
    "round_prefer_ceil": lambda place: np.floor(place + _F(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(
    x: Tensor,
    roi: Static | None = None,  # of tf_crop_and_resize alone
    scales: Static | None = None,
    sizes: Static | None = None,
    *,
    mode: str,
    coordinate_transformation_mode: str,
    nearest_mode: str,
    cubic_coeff_a: float,
    exclude_outside: int,
    extrapolation_value: float,  # of tf_crop_and_resize alone
    axes: Sequence[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Tensor:
    """Resize as versions 11 and later have it."""
    where = [axis % x.dim() for axis in axes] if axes else list(range(x.dim()))
    if coordinate_transformation_mode not in _PLACES:
        raise UnsupportedOperator(
            f"coordinate_transformation_mode is {coordinate_transformation_mode!r}; expected one of "
            f"{', '.join(_PLACES)}; export it with one of these"
        )
    if keep_aspect_ratio_policy != "stretch":
        raise UnsupportedOperator(
            f"keep_aspect_ratio_policy is {keep_aspect_ratio_policy!r}; expected 'stretch'; export it with scales"
        )
    given = [x.shape[axis] for axis in where]
    if scales is not None and scales.size:
        factors = [_F(scale) for scale in scales.ravel()]
        counts = [math.floor(_F(n) * f) for n, f in zip(given, factors, strict=True)]
    else:
        counts = integers(sizes)
        factors = [_F(count) / _F(n) for n, count in zip(given, counts, strict=True)]
    places = _PLACES[coordinate_transformation_mode]
    return _resized(
        x, where, factors, counts, mode, places, _NEAREST[nearest_mode], cubic_coeff_a, bool(exclude_outside)
    )


def resize_10(x: Tensor, scales: Static | Sequence[float], *, mode: str) -> Tensor:
    """Resize of version 10, and Upsample: nearest and linear, from the corner."""
    factors = [_F(scale) for scale in np.asarray(scales).ravel()]
    counts = [math.floor(_F(n) * f) for n, f in zip(x.shape, factors, strict=True)]
    if mode == "cubic":
        raise UnsupportedOperator(
            "mode is 'cubic'; expected 'nearest' or 'linear'; export it with opset 11 or later"
        )
    for axis, (factor, count) in enumerate(zip(factors, counts, strict=True)):
        nearest = _NEAREST["ceil" if factor < 1 else "floor"]
        x = _resized(x, [axis], [factor], [count], mode, _PLACES["asymmetric"], nearest, -0.75, False)
    return x


def _resized(
    x: Tensor,
    axes: Sequence[int],
    factors: Sequence[np.float32],
    counts: Sequence[int],
    mode: str,
    places: _Places,
    nearest: Callable[[Static], Static],
    coefficient: float,
    exclude_outside: bool,
) -> Tensor:
    if mode not in ("nearest", "linear", "bilinear", "cubic"):
        raise UnsupportedOperator(f"mode is {mode!r}; expected 'nearest', 'linear' or 'cubic'")
    for axis, factor, count in zip(axes, factors, counts, strict=True):
        size = x.shape[axis]
        if factor == 1 and count == size:
            continue
        place = places(np.arange(count, dtype=np.float32), factor, size, count)
        if mode == "nearest":
            x = take(x, axis, _nearest(places, nearest, factor, size, count))
        elif mode == "cubic":
            x = along(x, axis, _cubic(place, size, coefficient, exclude_outside))
        else:
            x = along(x, axis, _linear(place, size))
    return x


def _nearest(
    places: _Places, nearest: Callable[[Static], Static], factor: np.float32, size: int, count: int
) -> Static:
    index = nearest(places(np.arange(count, dtype=np.float32), factor, size, count)).clip(0, size - 1)
    if places is _symmetric:
        # Many steps of rounding: where they decide, runtimes differ.
        low, high = (
            nearest(places(np.arange(count) + shift, factor, size, count)).clip(0, size - 1)
            for shift in (-1e-5, 1e-5)
        )
        if (low != index).any() or (high != index).any():
            raise UnsupportedOperator(
                f"it chooses among {size} entries for {count} with coordinate_transformation_mode "
                "'half_pixel_symmetric', where rounding decides; expected 'half_pixel'; export it so"
            )
    return index


def _linear(place: Static, size: int) -> Static:
    """Give the weights of the two neighbours, shape (out, in); beyond the ends the last one stands alone."""
    place = place.astype(np.float64).clip(0, size - 1)
    low = np.floor(place).astype(int)
    matrix = np.zeros((len(place), size))
    rows = np.arange(len(place))
    np.add.at(matrix, (rows, low), 1 - (place - low))
    np.add.at(matrix, (rows, np.minimum(low + 1, size - 1)), place - low)
    return matrix


def _cubic(place: Static, size: int, a: float, exclude_outside: bool) -> Static:
    """Give the weights of four neighbours, shape (out, in)."""
    low = np.floor(place).astype(int)
    matrix = np.zeros((len(place), size))
    rows = np.arange(len(place))
    for step in (-1, 0, 1, 2):
        t = np.abs(place - low - step).astype(np.float64)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        weight = np.where(t <= 1, near, far)
        index = low + step
        if exclude_outside:
            weight = np.where((index >= 0) & (index < size), weight, 0)
        np.add.at(matrix, (rows, index.clip(0, size - 1)), weight)
    matrix /= matrix.sum(1, keepdims=True)
    return matrix
