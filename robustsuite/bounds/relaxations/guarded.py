"""Positive functions that may be unbounded on an interval, for a product that knows its own limits."""

from __future__ import annotations

import torch
from torch import Tensor

from robustsuite.bounds.program import Thetas
from robustsuite.bounds.relaxations.unary import Lines, Relaxation


class Guarded(Relaxation):
    """A positive function that is bounded by [0, inf) where its argument may leave [low, high].

    Its lines have no meaning there: whatever takes it must give it no coefficient (`Product`, within its limits).

    Args:
        inner: the function.
        low, high: where its lines are well scaled; 1 lies between.
    """

    def __init__(self, inner: Relaxation, *, low: float, high: float) -> None:
        self.inner, self._low, self._high = inner, low, high

    def __call__(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def _safe(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        leaves = ~((l >= self._low) & (u <= self._high))
        return torch.where(leaves, 1.0, l), torch.where(leaves, 1.0, u), leaves

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        l, u, leaves = self._safe(l, u)
        low, high = self.inner.interval(l, u)
        return torch.where(leaves, 0.0, low), torch.where(leaves, torch.inf, high)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        l, u, _ = self._safe(l, u)
        return self.inner.lines(l, u, lower, upper)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        l, u, _ = self._safe(l, u)
        return self.inner.initial(l, u)

    def differentiate(self) -> Relaxation:
        return self.inner.differentiate()
