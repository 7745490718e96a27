"""Schedules: numbers that change during training, as functions of the epoch (a float: 2.5 is the middle of the third).

They are frozen dataclasses, so that a recipe can hold them. A perturbation's radius takes a ramp from 0 to 1 as a
factor; a learning rate takes a factor on the optimiser's rate. What moves in step with the radius (the weights of
certified training) takes a schedule over that factor: ``Linear(start=1.0, end=0.5, length=1.0)``.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from robustsuite.arguments import check_callable, check_fields, check_number, check_numbers
from robustsuite.errors import InvalidInput


@runtime_checkable
class Schedule(Protocol):
    """Gives a number for each moment of training."""

    def __call__(self, epoch: float) -> float:
        """Give the value at `epoch` >= 0."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value throughout, >= 0."""

    value: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, "value", least=0)

    def __call__(self, epoch: float) -> float:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """`start` until the epoch `begin`, then in a straight line to `end`, which is reached `length` epochs later.

    Args:
        start, end: first and last value, >= 0.
        begin: epochs of waiting (the warm-up of a ramp), >= 0.
        length: epochs of change, > 0.

    Example:
        >>> ramp = Linear(begin=10, length=50)
        >>> ramp(5), ramp(35), ramp(100)
        (0.0, 0.5, 1.0)
    """

    start: float = 0.0
    end: float = 1.0
    begin: float = 0.0
    length: float

    def __post_init__(self) -> None:
        check_fields(self, "start", "end", least=0)
        _check_span(self.begin, self.length)

    def __call__(self, epoch: float) -> float:
        fraction = min(max((epoch - self.begin) / self.length, 0.0), 1.0)
        return self.start + fraction * (self.end - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedRamp:
    """From 0 to 1: first a fourth power, then a straight line with the same slope where they meet.

    With S the length, m = middle * S and s the epochs since `begin`: c s^4 until m, then linear,
    c = 1 / (m^3 (4 (S - m) + m)).

    Source: Zhang et al. 2020 (CROWN-IBP), the schedule of its CIFAR-10 runs; Xu et al. 2020, appendix.

    Args:
        begin: epochs at 0 (the warm-up), >= 0.
        length: epochs of change S, > 0.
        middle: the part of the length that is a fourth power, in (0, 1).
    """

    begin: float = 0.0
    length: float
    middle: float = 0.25

    def __post_init__(self) -> None:
        _check_span(self.begin, self.length)
        check_fields(self, "middle", above=0, below=1)

    def __call__(self, epoch: float) -> float:
        s, seam = epoch - self.begin, self.middle * self.length
        c = 1 / (seam**3 * (4 * (self.length - seam) + seam))
        if s <= 0:
            return 0.0
        if s <= seam:
            return c * s**4
        return min(1.0, c * seam**4 + 4 * c * seam**3 * (s - seam))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """1 at first, multiplied by `factor` at each of the epochs `at`.

    Args:
        at: epochs, increasing, >= 0.
        factor: > 0.
    """

    at: tuple[float, ...]
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "factor", above=0)
        check_numbers("at", self.at, least=0)
        if list(self.at) != sorted(self.at):
            raise InvalidInput(f"at is {self.at}; expected epochs in increasing order")

    def __call__(self, epoch: float) -> float:
        return self.factor ** bisect.bisect_right(self.at, epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """From 1 to 0 along half a cosine over `length` epochs. Source: Loshchilov and Hutter 2017, equation 5."""

    length: float

    def __post_init__(self) -> None:
        _check_span(0.0, self.length)

    def __call__(self, epoch: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(max(epoch / self.length, 0.0), 1.0)))


def check_shares(name: str, schedule: object) -> None:
    """Check a schedule over the factor on a radius whose values are shares.

    Raises:
        InvalidInput: something else, or values outside [0, 1] at the beginning or the end of the ramp.
    """
    check_callable(schedule, name, "a schedule over the factor on the radius, such as Constant(0.5)")
    assert callable(schedule)
    for factor in (0.0, 1.0):
        check_number(f"{name} at {factor:g} of the radius", schedule(factor), least=0, most=1)


def _check_span(begin: float, length: float) -> None:
    check_number("begin", begin, least=0)
    check_number("length", length, above=0)
