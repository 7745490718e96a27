"""`Bounds`: an interval for every entry of a tensor, held by its ends or by their sum and difference."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, final

import torch
from torch import Tensor

from robustsuite.tiles import is_one_tile, row_tiles

T = TypeVar("T")


@final
class Bounds:
    """Elementwise bounds: ``lower <= value <= upper`` for every input of a region. Read-only.

    Held by the ends, or by their sum and difference (`centered`), from which the ends are made when first asked for:
    what comes out of one linear map and goes into the next need not be turned into ends and back. Without a gradient
    only one of the two forms is kept.

    Args:
        lower, upper: tensors of one shape, (batch, *output), or (batch, specs) for an objective.
    """

    __slots__ = ("_ends", "_memory", "_pair")
    _ends: tuple[Tensor, Tensor] | None
    _pair: tuple[Tensor, Tensor] | None
    _memory: dict[Hashable, Any] | None

    def __init__(self, lower: Tensor, upper: Tensor) -> None:
        self._ends, self._pair, self._memory = (lower, upper), None, None

    @staticmethod
    def centered(total: Tensor, width: Tensor) -> Bounds:
        """Give bounds by ``total``, lower + upper, and ``width``, upper - lower >= 0, of one shape."""
        made = Bounds.__new__(Bounds)
        made._ends, made._pair, made._memory = None, (total, width), None
        return made

    def __repr__(self) -> str:
        return f"Bounds(lower={self.lower!r}, upper={self.upper!r})"

    @property
    def lower(self) -> Tensor:
        """Give the lower ends."""
        ends = self._ends
        return ends[0] if ends is not None else self._made()[0]

    @property
    def upper(self) -> Tensor:
        """Give the upper ends."""
        ends = self._ends
        return ends[1] if ends is not None else self._made()[1]

    @property
    def width(self) -> Tensor:
        """Give ``upper - lower``."""
        return self.upper - self.lower

    @property
    def is_centered(self) -> bool:
        """Say whether the sum and the difference of the ends are at hand."""
        return self._pair is not None

    def sum_and_width(self) -> tuple[Tensor, Tensor]:
        """Give ``lower + upper`` and ``upper - lower``: a linear map takes each to its own by one product."""
        if self._pair is not None:
            return self._pair
        lower, upper = self.lower, self.upper
        if torch.is_grad_enabled() and not is_one_tile(lower):
            return _sum_and_difference(upper, lower, False)
        return lower + upper, upper - lower

    def intersect(self, other: Bounds) -> Bounds:
        """Give the tighter end of the two, entry by entry; both must hold for the same values.

        Where rounding makes two sound ends cross by a hair, they are swapped, which keeps both inside.
        """
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        return Bounds(torch.minimum(lower, upper), torch.maximum(lower, upper))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Bounds:
        """Give the interval of a linear function whose coefficients are not negative: a slice, a sum ..."""
        if self._pair is not None:
            total, width = self._pair
            return Bounds.centered(function(total), function(width))
        return Bounds(function(self.lower), function(self.upper))

    def view(self, *shape: int) -> Bounds:
        """Give the same bounds in another shape."""
        return self.mapped(lambda end: end.reshape(shape))

    def detach(self) -> Bounds:
        """Give the same bounds without a gradient."""
        return Bounds(self.lower.detach(), self.upper.detach())

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give what `make` gives, made once for each key: many backward passes ask for the same planes of an interval."""
        memory = self._memory
        if memory is None:
            memory = self._memory = {}
        if key not in memory:
            memory[key] = make()
        found: T = memory[key]
        return found

    def _made(self) -> tuple[Tensor, Tensor]:
        assert self._pair is not None
        total, width = self._pair
        if torch.is_grad_enabled() and not is_one_tile(total):
            upper, lower = _sum_and_difference(total, width, True)
        else:
            upper = torch.lerp(width, total, 0.5)
            lower = upper - width
        if not torch.is_grad_enabled() and (total.requires_grad or width.requires_grad):
            return lower, upper  # without the gradient that a later call may want
        self._ends = lower, upper
        if not torch.is_grad_enabled():
            self._pair = None
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
