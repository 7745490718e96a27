"""Boxes: a lower and an upper end for each feature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite.arguments import check_number
from robustsuite.perturbations import features, norms
from robustsuite.perturbations.features import PerFeature
from robustsuite.perturbations.norms import pairing, pairing_of_sizes
from robustsuite.perturbations.perturbation import Perturbation
from robustsuite.perturbations.region import Region, Take


class BoxRegion(Region):
    """Lower and upper end for each feature. Linf balls, clipped or not, are boxes."""

    def __init__(self, center: Tensor, lower: Tensor, upper: Tensor) -> None:
        self.center, self.lower, self.upper = center, lower, upper
        self._halves: tuple[Tensor, Tensor] | None = None  # every backward pass asks for them

    @property
    def is_box(self) -> bool:
        return True

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return torch.clamp(x, self.lower, self.upper)

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        unit = norms.sample(seeds, self.lower.shape[1:].numel(), torch.inf, dtype=self.lower.dtype)
        return self.project(
            (self.lower + self.upper) / 2 + unit.view_as(self.lower) * (self.upper - self.lower) / 2
        )

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        return norms.flat(x - self.center).abs().amax(1)

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return gradient.sign() * torch.maximum(self.upper - self.center, self.center - self.lower)

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
        if self._halves is None or torch.is_grad_enabled():
            self._halves = (self.lower + self.upper) / 2, (self.upper - self.lower) / 2
        middle, radius = (take(half).unsqueeze(1) for half in self._halves)
        return pairing(a, middle), pairing_of_sizes(a, radius)

    def select(self, index: Tensor) -> BoxRegion:
        return BoxRegion(self.center[index], self.lower[index], self.upper[index])


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
        lower, upper = (features.spread(end, x, "box end") for end in (self.lower, self.upper))
        return BoxRegion(torch.clamp(x, lower, upper), lower, upper)

    def scaled(self, factor: float) -> Box:
        """Give the box shrunk (or grown) about its middle."""
        check_number("factor", factor, least=0)
        lower, upper = (torch.as_tensor(end, dtype=torch.float64) for end in (self.lower, self.upper))
        middle, half = (lower + upper) / 2, factor * (upper - lower) / 2
        return Box(features.frozen(middle - half, "lower"), features.frozen(middle + half, "upper"))

    def describe(self) -> str:
        return f"Box({features.short(self.lower)}, {features.short(self.upper)})"
