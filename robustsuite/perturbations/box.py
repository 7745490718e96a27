"""Boxes: a lower and an upper end for each feature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_number
from robustsuite.perturbations import features, norms
from robustsuite.perturbations.extent import Extent, precise, rounded_inside, spread
from robustsuite.perturbations.features import PerFeature
from robustsuite.perturbations.norms import pairing, pairing_of_sizes
from robustsuite.perturbations.perturbation import Perturbation
from robustsuite.perturbations.region import Region, Take


class BoxRegion(Region):
    """Lower and upper end for each feature. Linf balls, clipped or not, are boxes.

    Args:
        center, lower, upper: shape (batch, *input).
        extent: the ball's size, where the box is one; None: each end is one radius away from the centre.
    """

    def __init__(self, center: Tensor, lower: Tensor, upper: Tensor, extent: Extent | None = None) -> None:
        self.center, self.lower, self.upper, self.extent = center, lower, upper, extent
        self._halves: tuple[Tensor, Tensor] | None = None  # every backward pass asks for them

    @property
    def is_box(self) -> bool:
        return True

    @property
    def radius(self) -> Float[Tensor, " batch"]:
        return super().radius if self.extent is None else self.extent.radius

    @property
    def is_unbounded(self) -> bool:
        return self.extent is not None and self.extent.is_unbounded

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return torch.clamp(x, self.lower, self.upper).to(self.center.dtype)

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        self._check_bounded()
        share = seeding.uniform(seeds, self.lower.shape[1:].numel(), dtype=self.lower.dtype)
        return self.project(torch.lerp(self.lower, self.upper, share.view_as(self.lower)))

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        return norms.flat(x.to(precise(x.dtype)) - self.center).abs().amax(1)

    def direction(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        if self.extent is None:
            return gradient.sign() * torch.maximum(self.upper - self.center, self.center - self.lower)
        return gradient.sign() if self.extent.unit is None else gradient.sign() * self.extent.unit

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        self._check_bounded()
        if self.extent is None:
            return self.direction(gradient)
        reach = self.extent.reach(self.center, self.lower, self.upper, torch.inf)
        return spread(reach, self.center) * self.direction(gradient)

    def resized(self, radius: Float[Tensor, " batch"]) -> BoxRegion:
        if self.extent is None:
            by = spread(radius, self.center)
            down, up = self.lower - self.center, self.upper - self.center
            lower, upper = (self.center + torch.where(room == 0, 0.0, by * room) for room in (down, up))
            return BoxRegion(self.center, lower, upper)
        extent = self.extent.resized(radius)
        return BoxRegion(self.center, *extent.ends(self.center), extent)

    def _check_bounded(self) -> None:
        if self.extent is not None:
            self.extent.check_bounded()

    def minimizer_of(self, a: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return torch.where(a >= 0, self.lower, self.upper)

    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        middle, radius = self._middle_and_radius(a, take)
        return middle - radius

    def minimum_of_both(
        self, a: Float[Tensor, "rows specs *form"], take: Take
    ) -> Float[Tensor, "all_rows both"]:
        middle, radius = self._middle_and_radius(a, take)
        return torch.cat([middle - radius, -middle - radius], 1)

    def _middle_and_radius(self, a: Tensor, take: Take) -> tuple[Tensor, Tensor]:
        self._check_bounded()
        if self._halves is None or torch.is_grad_enabled():
            self._halves = (self.lower + self.upper) / 2, (self.upper - self.lower) / 2
        middle, radius = (take(half).unsqueeze(1) for half in self._halves)
        return pairing(a, middle), pairing_of_sizes(a, radius)

    def select(self, index: Tensor) -> BoxRegion:
        extent = None if self.extent is None else self.extent.select(index)
        return BoxRegion(self.center[index], self.lower[index], self.upper[index], extent)


@dataclass(frozen=True, slots=True)
class Box(Perturbation):
    """The same box for every example: each feature in [lower, upper], whatever the clean value.

    Args:
        lower, upper: numbers, or nested tuples (arrays, tensors) of the shape of one example.

    Raises:
        InvalidInput: lower > upper somewhere, or NaN or infinite ends.
    """

    lower: PerFeature
    upper: PerFeature

    def __post_init__(self) -> None:
        object.__setattr__(self, "lower", features.frozen(self.lower, "lower"))
        object.__setattr__(self, "upper", features.frozen(self.upper, "upper"))
        features.check_ends(self.lower, self.upper, ("lower", "upper"), "box")

    def around(self, x: Float[Tensor, "batch *input"]) -> BoxRegion:
        features.check_finite(x)
        dtype = precise(x.dtype)
        lower, upper = (features.spread(end, x, "box end", dtype=dtype) for end in (self.lower, self.upper))
        lower, upper = rounded_inside(lower, upper, x.dtype)
        return BoxRegion(torch.clamp(x, lower, upper), lower, upper)

    def scaled(self, factor: float) -> Box:
        """Give the box shrunk (or grown) about its middle."""
        check_number("factor", factor, least=0)
        lower, upper = (torch.as_tensor(end, dtype=torch.float64) for end in (self.lower, self.upper))
        middle, half = (lower + upper) / 2, factor * (upper - lower) / 2
        return Box(features.frozen(middle - half, "lower"), features.frozen(middle + half, "upper"))

    def describe(self) -> str:
        return f"Box({features.short(self.lower)}, {features.short(self.upper)})"
