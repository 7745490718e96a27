"""Unsafe sets of a network's inputs and outputs, exactly: all numbers are rational."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Coefficients = tuple[tuple[int, Fraction], ...]
"""The numbers of variables, in rising order, and what each is multiplied with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inequality:
    """A linear inequality: the sum of coefficients times variables is <= limit, or < limit where it is strict.

    Attributes:
        outputs, inputs: coefficients of the network's outputs and inputs; integers without a common divisor.
        limit: the right side.
        strict: whether equality does not satisfy it.
    """

    outputs: Coefficients
    inputs: Coefficients
    limit: Fraction
    strict: bool

    def holds(self, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
        """Say whether an input and an output satisfy it."""
        terms = [(c, y[i]) for i, c in self.outputs] + [(c, x[i]) for i, c in self.inputs]
        total = sum((c * value for c, value in terms), Fraction())
        return total < self.limit or (total == self.limit and not self.strict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputBox:
    """An interval for each input; it holds at least one point of real numbers.

    Attributes:
        lower, upper: the ends, one for each input.
        open_below, open_above: the inputs whose lower, and whose upper end is not allowed itself.
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    open_below: frozenset[int] = frozenset()
    open_above: frozenset[int] = frozenset()

    def admits(self, number: int, value: Fraction) -> bool:
        """Say whether an input may have a value."""
        low, high = self.lower[number], self.upper[number]
        return (
            low <= value <= high
            and not (value == low and number in self.open_below)
            and not (value == high and number in self.open_above)
        )

    def contains(self, x: Sequence[Fraction]) -> bool:
        """Say whether all inputs may have these values."""
        return all(self.admits(number, value) for number, value in enumerate(x))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One way to be unsafe: an input in the box, and all conditions hold.

    Attributes:
        box: of the inputs; cases with equal boxes have the same one.
        conditions: of the outputs, or of several variables; empty where every input of the box is unsafe.
    """

    box: InputBox
    conditions: tuple[Inequality, ...]

    def holds(self, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
        """Say whether an input and its output are unsafe in this way."""
        return self.box.contains(x) and all(condition.holds(x, y) for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnsafeSet:
    """Unsafe if any of the cases is met.

    Attributes:
        inputs, outputs: how many the file declares.
        cases: may be empty, if the assertions contradict each other whatever the network does.
    """

    inputs: int
    outputs: int
    cases: tuple[Case, ...]

    def contains(self, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
        """Say whether an input and its output are unsafe, in exact arithmetic."""
        return any(case.holds(x, y) for case in self.cases)
