"""Casts: what changes in a number when it is kept in another dtype."""

from __future__ import annotations

import torch
from torch import Tensor

from robustsuite.bounds.relaxations.unary import Lines, Relaxation
from robustsuite.errors import UnboundedOutput


class Rounded(Relaxation):
    """The nearest number of a floating point dtype: a rising function, within half a step of x.

    Args:
        dtype: a floating point dtype.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._kind = torch.finfo(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return x.to(self._dtype).to(x.dtype)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self(l), self(u)
        if bool((low.isinf() | high.isinf()).any()):
            raise UnboundedOutput(
                f"a cast to {self._dtype} overflows on this region: it holds numbers up to {self._kind.max:.4g}; use a "
                "smaller eps, or cast to a wider dtype"
            )
        return low, high

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        at_l, at_u = self.interval(l, u)
        # Half of a step at the largest number, and half of the least step; the rest is for this line's own rounding.
        size = torch.maximum(at_l.abs(), at_u.abs())
        step = 0.5 * self._kind.eps * size + self._kind.smallest_normal * self._kind.eps
        step = step + 4 * torch.finfo(l.dtype).eps * size
        constant = at_l == at_u
        slope = torch.where(constant, 0.0, 1.0).to(l.dtype)
        return Lines(slope, torch.where(constant, at_l, -step), slope, torch.where(constant, at_l, step))

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        return self(l) < self(u)


class Truncated(Relaxation):
    """The whole number towards zero, as casts to an integer dtype give it.

    Args:
        dtype: an integer dtype; numbers beyond its range, where casts have no defined result, are refused.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        kind = torch.iinfo(dtype)
        self._least, self._most = max(kind.min, -(2**53)), min(kind.max, 2**53)

    def __call__(self, x: Tensor) -> Tensor:
        return x.trunc()

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self(l), self(u)
        if bool(((low < self._least) | (high > self._most)).any()):
            raise UnboundedOutput(
                f"a cast to {self._dtype} overflows on this region: whole numbers from {self._least} to {self._most} "
                "are understood; use a smaller eps, or clamp before the cast"
            )
        return low, high

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        at_l, at_u = self.interval(l, u)
        constant = at_l == at_u
        slope = torch.where(constant, 0.0, 1.0).to(l.dtype)
        below = torch.where(u > 0, -1.0, 0.0).to(l.dtype)
        above = torch.where(l < 0, 1.0, 0.0).to(l.dtype)
        return Lines(slope, torch.where(constant, at_l, below), slope, torch.where(constant, at_l, above))

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        return self(l) < self(u)


class NotZero(Relaxation):
    """1 where x is not 0, else 0, as casts to bool give it."""

    def __call__(self, x: Tensor) -> Tensor:
        return (x != 0).to(x.dtype)

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        apart = (l > 0) | (u < 0)
        return apart.to(l.dtype), ((l != 0) | (u != 0)).to(l.dtype)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        flat = torch.zeros_like(l)
        low, high = self.interval(l, u)
        return Lines(flat, low, flat, high)

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        low, high = self.interval(l, u)
        return low < high
