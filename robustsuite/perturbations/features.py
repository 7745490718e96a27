"""Numbers for each feature of an example: kept as plain values, spread over a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from numbers import Real
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from robustsuite.arguments import check_kind, described
from robustsuite.errors import InvalidInput

# A number, or nested numbers of the shape of one example; kept as a float or nested tuples of floats.
PerFeature = float | int | Sequence[Any] | Tensor | npt.NDArray[Any]


def frozen(value: Any, name: str) -> PerFeature:
    """Turn a number, array, tensor or nested sequence into a float or nested tuples of floats.

    Raises:
        InvalidInput: it is none of these; the message calls it `name`.
    """
    given = value
    if hasattr(value, "tolist"):
        try:
            value = value.tolist()
        except (RuntimeError, TypeError):  # a tensor without values, or in sparse form
            raise InvalidInput(_no_numbers(name, given)) from None
    try:
        plain = mapped(value, _as_float)
        shape = _shape_of(plain)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise InvalidInput(_no_numbers(name, given)) from None
    if math.prod(shape) == 0:
        raise InvalidInput(
            f"{name} holds no numbers; expected a number, or one for each feature of an example"
        )
    return plain


def _no_numbers(name: str, value: object) -> str:
    shown = repr(value) if isinstance(value, list | tuple) and len(repr(value)) < 80 else described(value)
    return (
        f"{name} is {shown}; expected a number or nested numbers of the shape of one example, every row as long "
        "as the others"
    )


def _as_float(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _shape_of(value: PerFeature) -> tuple[int, ...]:
    """Give the shape of nested tuples.

    Raises:
        ValueError: rows of different shapes.
    """
    if not isinstance(value, tuple):
        return ()
    shapes = {_shape_of(item) for item in value}
    if len(shapes) > 1:
        raise ValueError("rows of different shapes")
    return (len(value), *next(iter(shapes), ()))


def check_ends(low: PerFeature, high: PerFeature, names: tuple[str, str], what: str) -> None:
    """Check the two ends of a range per feature, as `frozen` gives them.

    Raises:
        InvalidInput: lists of different shapes, ends that are not finite, or low > high somewhere.
    """
    shapes = [_shape_of(end) for end in (low, high)]
    if () not in shapes and shapes[0] != shapes[1]:
        raise InvalidInput(
            f"{what} has {names[0]} of shape {shapes[0]} and {names[1]} of shape {shapes[1]}; expected the same shape, "
            "that of one example, or a number for all features"
        )
    lower, upper = (torch.as_tensor(end, dtype=torch.float64) for end in (low, high))
    if not bool(torch.isfinite(lower).all() & torch.isfinite(upper).all() & (lower <= upper).all()):
        raise InvalidInput(
            f"{what} has {names[0]} {short(low)}, {names[1]} {short(high)}; expected finite "
            f"{names[0]} <= {names[1]}"
        )


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


def largest(value: PerFeature) -> float:
    """Give a number, or the greatest of several."""
    return float(torch.as_tensor(value, dtype=torch.float64).max())


def spread(value: PerFeature, x: Tensor, name: str, *, dtype: torch.dtype | None = None) -> Tensor:
    """Give the numbers for each example of the batch `x`, in its shape, device and dtype (if no other is given).

    Raises:
        InvalidInput: they do not have the shape of one example; the message calls them `name`.
    """
    tensor = torch.as_tensor(value, dtype=dtype or x.dtype, device=x.device)
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
    check_batch(x, "x")
    if not x.is_floating_point():
        raise InvalidInput(f"x has dtype {x.dtype}; expected floating point: pass x.float()")
    finite = torch.isfinite(x).flatten(1).all(1) if x.dim() > 1 else torch.isfinite(x)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0, 0])
        raise InvalidInput(f"x has NaN or infinite values, first in example {row}; remove or replace them")


def check_batch(x: object, name: str) -> None:
    """Check that a value is a batch of examples: a tensor with numbers in it, the batch as its first axis.

    Raises:
        InvalidInput: no tensor, one in sparse form, without values, or without a first axis.
    """
    check_kind(x, Tensor, name, "a tensor of shape (batch, *input): for arrays pass torch.as_tensor(x)")
    assert isinstance(x, Tensor)
    if x.layout != torch.strided:
        raise InvalidInput(f"{name} is {described(x)}; expected a dense tensor: pass {name}.to_dense()")
    if x.is_meta:
        raise InvalidInput(
            f"{name} is on the device 'meta' and has no values; expected numbers: build it on 'cpu'"
        )
    if x.dim() < 1:
        raise InvalidInput(f"{name} is a single number and not a batch; expected shape (batch, *input)")


def check_fits(perturbation: object, shape: Sequence[int], name: str) -> None:
    """Check that numbers per feature in a perturbation have the shape of one example, before any example is there.

    A perturbation inside of another one is checked too.

    Raises:
        InvalidInput: they do not; the message calls the perturbation `name`.
    """
    example = torch.zeros(1, *shape)
    for field in fields(perturbation) if is_dataclass(perturbation) else ():
        value = getattr(perturbation, field.name)
        if field.type == "PerFeature" and isinstance(value, tuple):
            spread(value, example, f"{name}: {field.name}")
        elif is_dataclass(value):
            check_fits(value, shape, name)
