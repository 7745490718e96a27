"""Checks of what callers pass, made once where a value enters: one line says what was given, expected, and the way out."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from robustsuite.errors import InvalidInput

if TYPE_CHECKING:
    import torch

MAX_SEED = 2**63 - 1
"""The largest seed: what files and other libraries hold."""

_LONGEST = 60


def described(value: object) -> str:
    """Say in a few words what a value is: "0.1", "a Tensor of shape (2, 3) and dtype torch.int32", "a Sequential".

    Example:
        >>> described(0.1), described([1, 2]), described(len)
        ('0.1', 'a list of 2', 'the function len')
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    kind = type(value).__name__
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        layout = str(getattr(value, "layout", "")).removeprefix("torch.")
        told = f" in {layout} form" if layout not in ("", "strided") else ""
        return f"a {kind} of shape {tuple(value.shape)} and dtype {value.dtype}{told}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, list | tuple | dict | set):
        return f"a {kind} of {len(value)}"
    if callable(value) and hasattr(value, "__name__"):
        return f"the function {value.__name__}"
    return f"a {kind}"


def check_kind(value: object, kind: type | tuple[type, ...], name: str, expected: str) -> None:
    """Check the type of an argument.

    Args:
        value: what was passed.
        kind: what it must be an instance of.
        name: of the argument.
        expected: the end of the message: what is expected, and how to come by it.

    Raises:
        InvalidInput: it is of another type.
    """
    if not isinstance(value, kind):
        raise InvalidInput(f"{name} is {described(value)}; expected {expected}")


def check_callable(value: object, name: str, expected: str) -> None:
    """Check that an argument can be called. See `check_kind`.

    Raises:
        InvalidInput: it cannot, or it is a class, where an object of it is meant.
    """
    if not callable(value) or isinstance(value, type):
        raise InvalidInput(f"{name} is {described(value)}; expected {expected}")


def check_number(
    name: str,
    value: object,
    *,
    integer: bool = False,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    endless: bool = False,
    optional: bool = False,
) -> None:
    """Check that an argument is a finite number in its range.

    Args:
        name, value: of the argument.
        integer: whether it must be one.
        least, most: the ends of a closed range.
        above, below: the ends of an open one.
        endless: whether it may be infinite.
        optional: whether it may be None.

    Raises:
        InvalidInput: another type (a truth value too), NaN, or outside the range.
    """
    if optional and value is None:
        return
    kind: Any = Integral if integer else Real
    if isinstance(value, kind) and not isinstance(value, bool):
        finite = endless or integer or math.isfinite(value)
        closed = least <= value <= most
        opened = (above == -math.inf or above < value) and (below == math.inf or value < below)
        if finite and closed and opened:
            return
    what = "an integer" if integer else "a number"
    ends = _range(least, above, most, below)
    none = ", or None" if optional else ""
    raise InvalidInput(f"{name} is {described(value)}; expected {what}{ends}{none}")


def check_fields(owner: object, *names: str, **range_: Any) -> None:
    """Check numbers that are fields of a dataclass: those of `names`, with the ranges of `check_number`."""
    for name in names:
        check_number(name, getattr(owner, name), **range_)


def check_numbers(name: str, values: object, **range_: Any) -> None:
    """Check that an argument is a tuple (or list) of numbers, each in the range that `check_number` takes.

    Raises:
        InvalidInput: it is not; the message shows the first wrong number.
    """
    check_kind(values, (tuple, list), name, "a tuple of numbers")
    assert isinstance(values, tuple | list)
    for value in values:
        check_number(name, value, **range_)


def check_flags(owner: object, *names: str) -> None:
    """Check fields of a dataclass that must be True or False.

    Raises:
        InvalidInput: something else, which Python would take for one of them.
    """
    for name in names:
        check_kind(getattr(owner, name), bool, name, "True or False")


def check_labels(
    labels: object,
    count: int | None = None,
    *,
    classes: int | None = None,
    device: torch.device | None = None,
    name: str = "labels",
) -> None:
    """Check that labels are one class index per example. Waits for the device where `classes` is given.

    Args:
        labels: what was passed.
        count: number of examples; None where any will do.
        classes: number of classes; None where it is not known.
        device: where they must be; None for any.
        name: of the argument.

    Raises:
        InvalidInput: no tensor, another shape, dtype or device, or an index outside [0, classes).
    """
    import torch

    shape = f"(batch,) = ({count},)" if count is not None else "(batch,)"
    check_kind(
        labels, torch.Tensor, name, f"a tensor of shape {shape} with class indices: torch.tensor([...])"
    )
    assert isinstance(labels, torch.Tensor)
    if labels.dim() != 1 or labels.dtype != torch.int64:
        way_out = "labels.argmax(1)" if labels.dim() == 2 else "labels.long()"
        hint = "for one-hot labels pass " if labels.dim() == 2 else "pass "
        raise InvalidInput(
            f"{name} have shape {tuple(labels.shape)} and dtype {labels.dtype}; expected {shape} class indices, "
            f"torch.int64; {hint}{way_out}"
        )
    if count is not None and len(labels) != count:
        raise InvalidInput(
            f"{name} have shape {tuple(labels.shape)} for {count} examples; expected {shape} class indices, one for each"
        )
    if labels.is_meta or (device is not None and labels.device != device):
        raise InvalidInput(
            f"{name} are on {labels.device} and the examples on {device or 'cpu'}; move one of them with .to(...)"
        )
    if classes is not None and len(labels) and not bool(((labels >= 0) & (labels < classes)).all()):
        raise InvalidInput(
            f"{name} lie in [{int(labels.min())}, {int(labels.max())}]; expected [0, {classes - 1}], the indices of "
            f"{classes} classes"
        )


def check_device(name: object) -> None:
    """Check that torch can compute on a device.

    Raises:
        InvalidInput: an unknown or absent device, or one that holds no numbers ("meta").
    """
    import torch

    check_kind(name, (str, torch.device), "device", "a name such as 'cpu' or 'cuda:1'")
    assert isinstance(name, str | torch.device)
    try:
        float(torch.zeros(1, device=name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InvalidInput(f"device '{name}' cannot be used here ({reason}); use --device cpu") from None


def check_generator(generator: object) -> None:
    """Check a source of random numbers: a `torch.Generator`, or None for torch's own.

    Raises:
        InvalidInput: something else, such as a seed.
    """
    import torch

    if generator is not None:
        way_out = "a torch.Generator or None: torch.Generator().manual_seed(0)"
        check_kind(generator, torch.Generator, "generator", way_out)


def _range(least: float, above: float, most: float, below: float) -> str:
    """Write a range: " >= 1", " in (0, 1]"; nothing where all numbers will do."""
    low = f"[{_end(least)}" if least > -math.inf else (f"({_end(above)}" if above > -math.inf else "")
    high = f"{_end(most)}]" if most < math.inf else (f"{_end(below)})" if below < math.inf else "")
    if low and high:
        return f" in {low}, {high}"
    if low:
        return f" {'>=' if low[0] == '[' else '>'} {low[1:]}"
    if high:
        return f" {'<=' if high[-1] == ']' else '<'} {high[:-1]}"
    return ""


def _end(value: float) -> str:
    """Write an end of a range, a whole number with all its digits."""
    return str(value) if isinstance(value, int) else f"{value:g}"
