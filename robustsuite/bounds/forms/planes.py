"""`Planes`: for every entry of a tensor, an affine function of the input below it and one above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """``lower_slope . x + lower_constant <= value <= upper_slope . x + upper_constant`` on the region.

    Attributes:
        lower_slope, upper_slope: shape (batch, inputs, *shape), for the inputs in one row.
        lower_constant, upper_constant: shape (batch, *shape).
    """

    lower_slope: Tensor
    lower_constant: Tensor
    upper_slope: Tensor
    upper_constant: Tensor

    def scaled(self, lower: Tensor, upper: Tensor) -> Planes:
        """Give planes below ``lower * value`` and above ``upper * value``; both of shape (batch, *shape).

        A negative factor takes the plane of the other side.
        """
        low_up, low_down = lower.clamp(min=0), lower.clamp(max=0)
        high_up, high_down = upper.clamp(min=0), upper.clamp(max=0)
        return Planes(
            low_up.unsqueeze(1) * self.lower_slope + low_down.unsqueeze(1) * self.upper_slope,
            low_up * self.lower_constant + low_down * self.upper_constant,
            high_up.unsqueeze(1) * self.upper_slope + high_down.unsqueeze(1) * self.lower_slope,
            high_up * self.upper_constant + high_down * self.lower_constant,
        )

    def plus(self, other: Planes) -> Planes:
        """Give planes of the sum of two values."""
        return Planes(
            self.lower_slope + other.lower_slope,
            self.lower_constant + other.lower_constant,
            self.upper_slope + other.upper_slope,
            self.upper_constant + other.upper_constant,
        )

    def shifted(self, lower: Tensor, upper: Tensor) -> Planes:
        """Add a constant to the lower and to the upper planes."""
        return Planes(
            self.lower_slope, self.lower_constant + lower, self.upper_slope, self.upper_constant + upper
        )

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Planes:
        """Apply a linear, non-negative function of (rows, *shape) to all four parts."""

        def columns(slope: Tensor) -> Tensor:
            made = function(slope.flatten(0, 1))
            return made.reshape(*slope.shape[:2], *made.shape[1:])

        return Planes(
            columns(self.lower_slope),
            function(self.lower_constant),
            columns(self.upper_slope),
            function(self.upper_constant),
        )
