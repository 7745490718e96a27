"""Rational numbers, the floating-point numbers next to them, and decimals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

import torch
from torch import Tensor

_DIGITS = 4000  # of a decimal that is written out


def fractions(values: Tensor) -> list[Fraction]:
    """Give the exact values of finite floating-point numbers, row by row."""
    return [Fraction(value) for value in values.detach().double().flatten().tolist()]


def rounded(values: Sequence[Fraction], like: Tensor, *, up: bool) -> Tensor:
    """Give the least floating-point numbers that are not below the values, or the greatest that are not above.

    Args:
        values: any rational numbers.
        like: gives dtype and device.
        up: which of the two. Beyond the largest finite number of the dtype, +inf or -inf is next.

    Returns:
        Shape (values,).
    """
    near = torch.tensor([_double(value) for value in values], dtype=torch.float64).to(like.dtype)
    # Two roundings in a row still end at a neighbour of the value: one step at most is missing.
    wrong = [
        approximate < exact if up else approximate > exact
        for approximate, exact in zip(near.double().tolist(), values, strict=True)
    ]
    beyond = torch.full_like(near, torch.inf if up else -torch.inf)
    return torch.where(torch.tensor(wrong, dtype=torch.bool), torch.nextafter(near, beyond), near).to(
        like.device
    )


def decimal_of(value: Fraction) -> str | None:
    """Write a number as a decimal, exactly; None where it has no end (or thousands of digits).

    Example:
        >>> decimal_of(Fraction(1, 8)), decimal_of(Fraction(1, 3))
        ('0.125', None)
    """
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        places = max(places, power)
    whole = abs(value.numerator) * 10**places // value.denominator
    if rest != 1 or whole >= 10**_DIGITS:
        return None
    return str(Decimal((int(value < 0), tuple(map(int, str(whole))), -places)))


def decimals_between(low: Fraction, high: Fraction) -> Iterator[Fraction]:
    """Give decimals of the interval [low, high]: its ends where they are decimals, and a short one inside."""
    yield from (end for end in (low, high) if decimal_of(end) is not None)
    for places in range(_DIGITS if low < high else 0):
        inside = Fraction(round((low + high) / 2 * 10**places), 10**places)
        if low < inside < high:
            yield inside
            return


def _double(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
