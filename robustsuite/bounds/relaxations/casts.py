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
