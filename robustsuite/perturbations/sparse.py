"""L0: an adversary that changes few features, but those as it likes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.arguments import check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import features
from robustsuite.perturbations.extent import precise, rounded_inside
from robustsuite.perturbations.features import PerFeature
from robustsuite.perturbations.norms import pairing
from robustsuite.perturbations.perturbation import Perturbation
from robustsuite.perturbations.region import Region, Take

_REACH = 64.0  # of the fastest feature of a step, in units of its room: enough to displace settled ones


class SparseRegion(Region):
    """All x that differ from the centre in at most `budget` features, each within its range.

    Args:
        center: shape (batch, *input).
        low, high: the range of each feature, shape (batch, *input), the centre inside.
        budget: number of features, >= 0.
    """

    def __init__(self, center: Tensor, low: Tensor, high: Tensor, budget: int) -> None:
        self.center, self.budget = center, min(budget, center.shape[1:].numel())
        self.lower, self.upper = (low, high) if budget else (center, center)

    @property
    def is_box(self) -> bool:
        return self.budget in (0, self.center.shape[1:].numel())

    def _keep(self, x: Tensor, gain: Tensor) -> Tensor:
        """Keep the features of `x` with the largest gains (batch, features), and the centre's elsewhere."""
        top = gain.topk(self.budget, dim=1).indices
        kept = torch.zeros_like(gain, dtype=torch.bool).scatter(1, top, True)
        return torch.where(kept.view_as(x), x, self.center)

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        # The nearest point: a feature is kept for the distance that this saves.
        near = torch.clamp(x, self.lower, self.upper)
        saved = (x - self.center).square() - (x - near).square()
        return self._keep(near, saved.flatten(1))

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        size = self.center.shape[1:].numel()
        share = seeding.uniform(seeds, size, dtype=self.center.dtype).view_as(self.center)
        x = torch.clamp(self.lower + share * (self.upper - self.lower), self.lower, self.upper)
        return self._keep(x, seeding.uniform(seeds, size, stream=1))

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        """Count the features in which `x` differs from the centre."""
        return (x != self.center).flatten(1).sum(1).to(precise(x.dtype))

    def contains(
        self, x: Float[Tensor, "batch *input"], *, tolerance: float = 1e-6
    ) -> Bool[Tensor, " batch"]:
        moved = (x - self.center).abs() > tolerance * (1 + self.center.abs())
        within = super().contains(x, tolerance=tolerance)
        return within & (moved.flatten(1).sum(1) <= self.budget)

    def _moves(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Give for each feature the end of its range along the gradient, and what moving there gains."""
        move = torch.where(gradient >= 0, self.upper, self.lower) - self.center
        return move, (gradient * move).flatten(1)

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Move all features towards the ends of their ranges, each the faster the more it gains.

        The projection then keeps the fastest. Source: Croce and Hein 2019, section 3.2 (PGD for the L0 norm).
        """
        move, gain = self._moves(gradient)
        largest = gain.amax(1, keepdim=True)
        share = torch.where(largest > 0, gain / torch.where(largest > 0, largest, 1.0), 0.0)
        return _REACH * share.view_as(move) * move

    def minimizer_of(self, a: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        move, gain = self._moves(-a)
        return self._keep(torch.clamp(self.center + move, self.lower, self.upper), gain)

    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        """Give the least value of the linear forms: the `budget` features that lower it most go to their ends."""
        center, low, high = (take(t).flatten(1).unsqueeze(1) for t in (self.center, self.lower, self.upper))
        a = a.flatten(2)
        gain = torch.minimum(a * (low - center), a * (high - center)).clamp(max=0)
        best = gain.topk(min(self.budget, gain.shape[2]), dim=2, largest=False).values
        return pairing(a, center) + best.sum(2)

    def select(self, index: Tensor) -> SparseRegion:
        return SparseRegion(self.center[index], self.lower[index], self.upper[index], self.budget)


@dataclass(frozen=True, slots=True)
class L0(Perturbation):
    """At most `budget` features of an example change, each to any value of its range.

    Args:
        budget: number of features, >= 0; an image's channels are features of their own.
        low, high: ends of the range of valid values: numbers, or nested like an example (arrays and tensors are
            converted).

    Raises:
        InvalidInput: a negative or fractional budget; low > high somewhere, or NaN or infinite ends.
    """

    budget: int
    low: PerFeature
    high: PerFeature

    def __post_init__(self) -> None:
        check_number("budget", self.budget, integer=True, least=0)
        object.__setattr__(self, "low", features.frozen(self.low, "low"))
        object.__setattr__(self, "high", features.frozen(self.high, "high"))
        features.check_ends(self.low, self.high, ("low", "high"), "range")

    def around(self, x: Float[Tensor, "batch *input"]) -> SparseRegion:
        features.check_finite(x)
        dtype = precise(x.dtype)
        low, high = (features.spread(end, x, "range", dtype=dtype) for end in (self.low, self.high))
        low, high = rounded_inside(low, high, x.dtype)
        slack = 1e-5 * (high - low)
        if bool(((x < low - slack) | (x > high + slack)).any()):
            raise InvalidInput(
                f"x has values in [{float(x.min()):.4g}, {float(x.max()):.4g}], outside the range from "
                f"{features.short(self.low)} to {features.short(self.high)}; scale the data, or give its range"
            )
        return SparseRegion(torch.clamp(x, low, high), low, high, self.budget)

    def scaled(self, factor: float) -> L0:
        """Give the same range with a budget of `factor` times as many features, rounded down."""
        check_number("factor", factor, least=0)
        return replace(self, budget=math.floor(self.budget * factor + 1e-9))

    def describe(self) -> str:
        return f"L0({self.budget})"

    @property
    def norm(self) -> str:
        return "L0"

    @property
    def radius(self) -> float:
        return self.budget
