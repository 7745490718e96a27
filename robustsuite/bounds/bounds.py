"""`Bounds`: an interval for every entry of a tensor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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

    def intersect(self, other: Bounds) -> Bounds:
        """Give the tighter end of the two, entry by entry; both must hold for the same values.

        Where rounding makes two sound ends cross by a hair, they are swapped, which keeps both inside.
        """
        lower, upper = torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        return Bounds(torch.minimum(lower, upper), torch.maximum(lower, upper))

    def view(self, *shape: int) -> Bounds:
        """Give the same bounds in another shape."""
        return Bounds(self.lower.reshape(shape), self.upper.reshape(shape))

    def detach(self) -> Bounds:
        """Give the same bounds without a gradient."""
        return Bounds(self.lower.detach(), self.upper.detach())
