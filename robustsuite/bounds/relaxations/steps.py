"""Functions with jumps: sign, floor, comparisons with a constant."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from robustsuite.bounds.relaxations.unary import Lines, Relaxation


class Flat(Relaxation):
    """A rising function that is bounded by flat lines at its values at the ends (sign, comparisons)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def __call__(self, x: Tensor) -> Tensor:
        return self._function(x)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        flat = torch.zeros_like(l)
        return Lines(flat, self(l), flat, self(u))


class Floor(Relaxation):
    """The greatest whole number not above x: between x - 1 and x, or flat where [l, u] holds one value."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.floor()

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        constant = self(l) == self(u)
        slope = torch.where(constant, 0.0, 1.0).to(l.dtype)
        low = torch.where(constant, self(l), -1.0)
        high = torch.where(constant, self(l), 0.0)
        return Lines(slope, low, slope, high)
