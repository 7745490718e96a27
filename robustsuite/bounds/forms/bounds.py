"""`Bounds`: an interval for every entry of a tensor, held by its ends or by their sum and difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from robustsuite.tiles import is_one_tile, row_tiles


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Elementwise bounds: ``lower <= value <= upper`` for every input of a region.

    Attributes:
        lower, upper: tensors of one shape, (batch, *output), or (batch, specs) for an objective.
    """

    lower: Tensor
    upper: Tensor

    @property
    def width(self) -> Tensor:
        """Give ``upper - lower``."""
        return self.upper - self.lower

    def sum_and_width(self) -> tuple[Tensor, Tensor]:
        """Give ``lower + upper`` and ``upper - lower``: a linear map takes each to its own by one product."""
        if torch.is_grad_enabled() and not is_one_tile(self.lower):
            return _sum_and_difference(self.upper, self.lower, False)
        return self.lower + self.upper, self.upper - self.lower

    def intersect(self, other: Bounds) -> Bounds:
        """Give the tighter end of the two, entry by entry; both must hold for the same values.

        Where rounding makes two sound ends cross by a hair, they are swapped, which keeps both inside.
        """
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        return Bounds(torch.minimum(lower, upper), torch.maximum(lower, upper))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Bounds:
        """Give the interval of a linear function whose coefficients are not negative: a slice, a sum ..."""
        return Bounds(function(self.lower), function(self.upper))

    def view(self, *shape: int) -> Bounds:
        """Give the same bounds in another shape."""
        return self.mapped(lambda end: end.reshape(shape))

    def detach(self) -> Bounds:
        """Give the same bounds without a gradient."""
        return Bounds(self.lower.detach(), self.upper.detach())


class Centered(Bounds):
    """Bounds given by the sum and the difference of their ends, which are made when first asked for.

    What comes out of one linear map and goes into the next need not be turned into ends and back. Without a gradient
    only one of the two forms is kept.

    Args:
        total: lower + upper.
        width: upper - lower >= 0, of the same shape.
    """

    __slots__ = ("_ends", "_pair")
    _pair: tuple[Tensor, Tensor] | None
    _ends: tuple[Tensor, Tensor] | None

    def __init__(self, total: Tensor, width: Tensor) -> None:
        # Frozen, as its base is.
        object.__setattr__(self, "_pair", (total, width))
        object.__setattr__(self, "_ends", None)

    @property
    def lower(self) -> Tensor:
        return self._made()[0]

    @property
    def upper(self) -> Tensor:
        return self._made()[1]

    def sum_and_width(self) -> tuple[Tensor, Tensor]:
        return super().sum_and_width() if self._pair is None else self._pair

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Bounds:
        total, width = self.sum_and_width()
        return Centered(function(total), function(width))

    def _made(self) -> tuple[Tensor, Tensor]:
        if self._ends is not None:
            return self._ends
        assert self._pair is not None
        total, width = self._pair
        if torch.is_grad_enabled() and not is_one_tile(total):
            upper, lower = _sum_and_difference(total, width, True)
        else:
            upper = torch.lerp(width, total, 0.5)
            lower = upper - width
        if not torch.is_grad_enabled():
            if total.requires_grad or width.requires_grad:
                return lower, upper  # without the gradient that a later call may want
            object.__setattr__(self, "_pair", None)
        object.__setattr__(self, "_ends", (lower, upper))
        return lower, upper


class _SumAndDifference(torch.autograd.Function):
    """Give x + y and x - y, or half of both, in one trip to memory; the gradient is the same map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, halved: bool) -> tuple[Tensor, Tensor]:
        ctx.halved = halved
        plus, minus = torch.empty_like(x), torch.empty_like(x)
        for one, other, p, m in row_tiles(x, y, plus, minus):
            if halved:
                torch.sub(torch.lerp(other, one, 0.5, out=p), other, out=m)
            else:
                torch.add(one, other, out=p)
                torch.sub(one, other, out=m)
        return plus, minus

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        return *_sum_and_difference(gradients[0], gradients[1], ctx.halved), None


def _sum_and_difference(x: Tensor, y: Tensor, halved: bool) -> tuple[Tensor, Tensor]:
    plus, minus = _SumAndDifference.apply(x, y, halved)  # type: ignore[no-untyped-call]
    return plus, minus
