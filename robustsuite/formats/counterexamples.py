"""Counterexamples of properties as they are written: in exact arithmetic, on the numbers that a network takes and gives.

An input that lies in the box is a floating-point number. Where the bounds of an input leave no number of the network's
dtype between them (``X_0 = 0.1``), it is a decimal that they allow, and the network receives the number next to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.errors import InvalidInput
from robustsuite.formats import Case, InputBox, exact

Network = Callable[[Tensor], Tensor]
"""Maps one input, shape (inputs,), to its output, shape (outputs,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inside:
    """The inputs of a box that a network can take.

    Attributes:
        lower, upper: their ends, shape (inputs,), in the network's dtype; lower <= upper.
        decimals: for the inputs whose bounds leave no number of the dtype between them, the decimal that is rounded
            to ``lower == upper``.
    """

    lower: Tensor
    upper: Tensor
    decimals: dict[int, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counterexample:
    """An unsafe input and its output.

    Attributes:
        inputs, outputs: as the network takes and gives them, shapes (inputs,) and (outputs,).
        decimals: the inputs as decimals that lie in the box as it is written, and that are `inputs` when they are
            rounded to the network's dtype.
    """

    inputs: Float[Tensor, " inputs"]
    outputs: Float[Tensor, " outputs"]
    decimals: tuple[str, ...]


def around(box: InputBox, like: Tensor) -> tuple[Tensor, Tensor]:
    """Give the ends of the least box of floating-point numbers that holds a box, shapes (inputs,).

    Raises:
        InvalidInput: an end, or twice the width, is beyond what the dtype of `like` holds.
    """
    most = Fraction(torch.finfo(like.dtype).max) / 4
    for number, (low, high) in enumerate(zip(box.lower, box.upper, strict=True)):
        if low < -most or high > most:
            raise InvalidInput(
                f"X_{number} lies in [{_short(low)}, {_short(high)}]; expected bounds within +-{float(most):.1e}, "
                f"as the network computes in {str(like.dtype).removeprefix('torch.')}"
            )
    return exact.rounded(box.lower, like, up=False), exact.rounded(box.upper, like, up=True)


def within(box: InputBox, like: Tensor) -> Inside | None:
    """Give what the network can take of a box; None where the only value of an input is no decimal, as 1/3."""
    lower, upper = exact.rounded(box.lower, like, up=True), exact.rounded(box.upper, like, up=False)
    above, below = (torch.full_like(lower, end) for end in (torch.inf, -torch.inf))
    for number in box.open_below:
        if Fraction(lower[number].item()) == box.lower[number]:
            lower[number] = torch.nextafter(lower[number], above[number])
    for number in box.open_above:
        if Fraction(upper[number].item()) == box.upper[number]:
            upper[number] = torch.nextafter(upper[number], below[number])
    decimals: dict[int, Fraction] = {}
    for number in (lower > upper).nonzero().flatten().tolist():
        found = _decimal_and_nearest(box, number, like)
        if found is None:
            return None
        decimals[number], lower[number] = found
        upper[number] = lower[number]
    return Inside(lower=lower, upper=upper, decimals=decimals)


def confirm(
    point: Tensor, *, inside: Inside, cases: Sequence[Case], networks: Sequence[Network]
) -> Counterexample | None:
    """Move a point into the box and run it through the network again.

    Args:
        point: shape (inputs,).
        inside: of the box of the cases.
        cases: all of one box.
        networks: that compute the same function; the counterexample's outputs are the first's.

    Returns:
        The counterexample; None unless one of the cases holds exactly for the outputs of each network.
    """
    inputs = torch.minimum(torch.maximum(point, inside.lower), inside.upper)
    given = exact.fractions(inputs)
    written = [inside.decimals.get(number, value) for number, value in enumerate(given)]
    results = []
    for network in networks:
        with torch.no_grad():
            outputs = network(inputs).cpu()
        if not bool(outputs.isfinite().all()):
            return None
        y = exact.fractions(outputs)
        if not any(
            # Conditions on inputs have to hold for what is written and for what the network receives.
            case.holds(written, y) and all(condition.holds(given, y) for condition in case.conditions)
            for case in cases
        ):
            return None
        results.append(outputs)
    box = cases[0].box
    decimals = []
    for number, (value, text) in enumerate(zip(written, shortened(inputs), strict=True)):
        # What the usual number of digits says may lie a trifle outside; the exact decimal does not.
        short = number not in inside.decimals and box.admits(number, Fraction(text))
        decimals.append(text if short else exact.decimal_of(value) or text)
    return Counterexample(inputs=inputs.cpu(), outputs=results[0], decimals=tuple(decimals))


def shortened(values: Tensor) -> tuple[str, ...]:
    """Write floating-point numbers with as many digits as tell them from their neighbours, shape (values,)."""
    digits = 17 if values.dtype == torch.float64 else 9
    return tuple(f"{value:.{digits}g}" for value in values.tolist())


def _decimal_and_nearest(box: InputBox, number: int, like: Tensor) -> tuple[Fraction, float] | None:
    for value in exact.decimals_between(box.lower[number], box.upper[number]):
        below, above = (exact.rounded([value], like, up=up).item() for up in (False, True))
        down, up = abs(value - Fraction(below)), abs(value - Fraction(above))
        # Half-way between two numbers, it is not clear which one the network receives.
        if box.admits(number, value) and down != up:
            return value, below if down < up else above
    return None


def _short(value: Fraction) -> str:
    exponent = 0
    while abs(value) >= 10:
        value, exponent = value / 10, exponent + 1
    return f"{float(value):.3g}e{exponent}" if exponent > 5 else f"{float(value * 10**exponent):.3g}"
