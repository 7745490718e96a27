"""How far a norm ball reaches: a radius for each example, the unit that it counts in, and the range of valid values.

Where examples are float16 or bfloat16, sizes are float32, and what is rounded to the examples' type is rounded inwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from robustsuite.errors import InvalidInput
from robustsuite.perturbations import norms


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """The size of a ball ``|| (x - center) / unit ||_p <= radius``, cut with a range.

    Attributes:
        radius: of each example, shape (batch,), >= 0; inf: no limit but the range of valid values. See `precise`.
        unit: what the radius counts in, shape (batch, *input), >= 0; None: 1. A feature with 0 stays as it is.
        limits: lowest and highest valid value, or None.
        endless: whether some radius may be infinite.
        all_endless: whether all are.
    """

    radius: Float[Tensor, " batch"]
    unit: Tensor | None
    limits: tuple[float, float] | None
    endless: bool
    all_endless: bool

    def scale(self, center: Tensor) -> Float[Tensor, "batch *input"]:
        """Give the radius of each feature, in input units."""
        radius = spread(self.radius, center)
        if self.unit is None:
            return radius.expand_as(center)
        # An endless radius counts nothing where the unit is 0.
        return torch.where(self.unit > 0, radius * self.unit, 0.0) if self.endless else radius * self.unit

    def ends(self, center: Tensor) -> tuple[Tensor, Tensor]:
        """Give the interval hull."""
        scale = self.scale(center)
        lower, upper = center - scale, center + scale
        if self.limits is not None:
            lower, upper = lower.clamp(*self.limits), upper.clamp(*self.limits)
        return rounded_inside(lower, upper, center.dtype)

    def reach(self, center: Tensor, lower: Tensor, upper: Tensor, p: float) -> Float[Tensor, " batch"]:
        """Give the radii; in the place of endless ones the distance to the farthest corner of the valid range."""
        if not self.endless or self.limits is None:
            return self.radius
        room = torch.maximum(upper - center, center - lower).to(self.radius.dtype)
        if self.unit is not None:
            room = torch.where(self.unit > 0, room / torch.where(self.unit > 0, self.unit, 1.0), 0.0)
        # A little more than the farthest corner, so that rounding cuts nothing off.
        farthest = norms.norm(norms.flat(room), p) * 1.001
        return torch.where(self.radius.isinf(), farthest, self.radius)

    def resized(self, radius: Float[Tensor, " batch"]) -> Extent:
        """Give the same with other radii."""
        endless = radius.isinf()
        return Extent(radius, self.unit, self.limits, bool(endless.any()), bool(endless.all()))

    def select(self, index: Tensor) -> Extent:
        """Keep the examples that `index` picks."""
        unit = None if self.unit is None else self.unit[index]
        return Extent(self.radius[index], unit, self.limits, self.endless, self.all_endless)

    @property
    def is_unbounded(self) -> bool:
        """Whether the ball may hold points as far away as one likes."""
        return self.endless and self.limits is None

    def check_bounded(self) -> None:
        """Check that the ball is bounded.

        Raises:
            InvalidInput: an endless radius without a range of valid values.
        """
        if self.is_unbounded:
            raise InvalidInput(
                "the radius is endless and there is no range of valid values; expected a bounded region: give clip, as "
                "in Linf(inf, clip=(0, 1)), or a finite radius"
            )


def precise(dtype: torch.dtype) -> torch.dtype:
    """Give the type that sizes and distances are computed in: float32 for a shorter one, else itself."""
    return dtype if dtype == torch.float64 else torch.float32


def rounded_inside(lower: Tensor, upper: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Give the least and the greatest numbers of a shorter type in intervals; where there is none, the nearest ones."""
    if lower.dtype == dtype:
        return lower, upper
    low, high = lower.to(dtype), upper.to(dtype)
    above = torch.where(low < lower, torch.nextafter(low, torch.full_like(low, torch.inf)), low)
    below = torch.where(high > upper, torch.nextafter(high, torch.full_like(high, -torch.inf)), high)
    room = above <= below
    return torch.where(room, above, low), torch.where(room, below, high)


def rounded_toward(center: Tensor, point: Tensor) -> Tensor:
    """Give points in the type of the centre: in no coordinate farther from it than they were."""
    if point.dtype == center.dtype:
        return point
    near = point.to(center.dtype)
    farther = (near - center.to(point.dtype)).abs() > (point - center).abs()
    return torch.where(farther, torch.nextafter(near, center), near)


def spread(values: Shaped[Tensor, " batch"], batch: Tensor) -> Tensor:
    """Give one number for each example in a shape that broadcasts over a batch of examples."""
    return values.view(-1, *(1,) * (batch.dim() - 1))
