"""Numbers for each feature of an example: kept as plain values, spread over a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from robustsuite.errors import InvalidInput

# A number, or nested numbers of the shape of one example; kept as a float or nested tuples of floats.
PerFeature = float | int | Sequence[Any] | Tensor | npt.NDArray[Any]


def frozen(value: Any, name: str) -> PerFeature:
    """Turn a number, array, tensor or nested sequence into a float or nested tuples of floats.

    Raises:
        InvalidInput: it is none of these; the message calls it `name`.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    try:
        return mapped(value, float)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is {value!r}; expected a number or nested numbers") from None


def mapped(value: Any, function: Callable[[float], float]) -> PerFeature:
    """Apply a function to each number."""
    if isinstance(value, list | tuple):
        return tuple(mapped(item, function) for item in value)
    return function(value)


def short(value: PerFeature) -> str:
    """Give a number, or the least and the greatest of several, as a text for messages and tables."""
    if isinstance(value, float):
        return f"{value:.4g}"
    values = torch.as_tensor(value, dtype=torch.float64)
    return f"{float(values.min()):.4g}..{float(values.max()):.4g}"


def spread(value: PerFeature, x: Tensor, name: str) -> Tensor:
    """Give the numbers for each example of the batch `x`, in its shape, dtype and device.

    Raises:
        InvalidInput: they do not have the shape of one example; the message calls them `name`.
    """
    tensor = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    try:
        return tensor.expand(x.shape)
    except RuntimeError:
        raise InvalidInput(
            f"{name} has shape {tuple(tensor.shape)}; expected a number or the shape of one example, "
            f"{tuple(x.shape[1:])}"
        ) from None


def owned(x: Tensor) -> Tensor:
    """Give a copy of a tensor, through which gradients flow; axes that repeat one entry go on repeating it."""
    repeats = tuple(
        slice(0, 1) if stride == 0 and size > 1 else slice(None)
        for stride, size in zip(x.stride(), x.shape, strict=True)
    )
    return x[repeats].clone().expand(x.shape)


def check_finite(x: Tensor) -> None:
    """Check that a batch of examples holds finite floating point numbers.

    Raises:
        InvalidInput: it does not; the message names the first bad example.
    """
    if not x.is_floating_point():
        raise InvalidInput(f"x has dtype {x.dtype}; expected floating point: pass x.float()")
    finite = torch.isfinite(x).flatten(1).all(1) if x.dim() > 1 else torch.isfinite(x)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0, 0])
        raise InvalidInput(f"x has NaN or infinite values, first in example {row}; remove or replace them")
