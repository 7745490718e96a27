"""What a region of allowed inputs can do: project, sample, measure, and bound linear forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import norms

_BALLS = "a ball or a box: Linf, L2, L1 or Box"

Take = Callable[[Tensor], Tensor]


class Region(ABC):
    """The allowed inputs around a batch of examples. Made by `Perturbation.around`.

    Attributes:
        center: the clean examples, shape (batch, *input).
        lower, upper: the interval hull, shape (batch, *input).
    """

    center: Tensor
    lower: Tensor
    upper: Tensor

    @property
    def is_box(self) -> bool:
        """Whether the region equals its interval hull."""
        return False

    @property
    def is_symmetric(self) -> bool:
        """Whether all examples have the same region about their centres, and -d belongs to it if d does."""
        return False

    @property
    def is_unbounded(self) -> bool:
        """Whether the region holds points as far away as one likes: an endless radius, and no range of valid values."""
        return False

    @property
    def radius(self) -> Float[Tensor, " batch"]:
        """The radius of each example, in units of `direction`; inf: limited by the range of valid values alone."""
        return torch.ones(len(self.center), dtype=self.center.dtype, device=self.center.device)

    @property
    def moves_groups(self) -> bool:
        """Whether features move together, so that `minimum` needs a coefficient for every one of them."""
        return False

    @abstractmethod
    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Bring `x` into the region (the nearest point where the set is a plain ball or box)."""

    @abstractmethod
    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        """Draw one point per example, uniformly (before clipping), each from its own seed."""

    def sample(self, *, generator: torch.Generator | None = None) -> Float[Tensor, "batch *input"]:
        """Draw one point per example, uniformly (before clipping)."""
        seeds = seeding.example_seeds(len(self.center), generator=generator)
        return self.sample_seeded(seeds.to(self.center.device))

    @abstractmethod
    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        """Give the distance of `x` to the centre, in the perturbation's norm and in input units; in float32 at least."""

    @abstractmethod
    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Give the steepest step along `gradient` whose length is the region's radius.

        An endless radius counts as the distance to the farthest corner of the range of valid values.

        Raises:
            InvalidInput: the region is unbounded.
        """

    def direction(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Give the steepest step of length 1 along `gradient` (0 where that is zero): `ascent` without the radius.

        Raises:
            InvalidInput: the region knows no steps of length 1.
        """
        raise InvalidInput(f"{type(self).__name__} has no steps of length 1; expected {_BALLS}")

    def resized(self, radius: Float[Tensor, " batch"]) -> Region:
        """Give the region of the same kind with another radius for each example.

        Args:
            radius: shape (batch,), >= 0, inf allowed.

        Raises:
            InvalidInput: the region has no radius.
        """
        raise InvalidInput(f"{type(self).__name__} has no radius to change; expected {_BALLS}")

    @abstractmethod
    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        """Give the least value of the linear forms ``sum(a * x)`` for x in the region.

        Args:
            a: coefficients; the axes from the third on are those of `take`'s result from the second on. Where the
                region `moves_groups`, they are those of the whole input, in its order.
            take: picks, from a tensor of shape (batch, *input), the entries that the coefficients
                belong to, as a tensor of shape (rows or 1, *form), with zeros where there is none.

        Returns:
            Shape (rows, specs); one row per example where the examples share the coefficients (rows = 1).

        Source: dual norms; with a clip box the exact solutions of the two convex programmes (see `Ball`).
        """

    def minimum_of_both(
        self, a: Float[Tensor, "rows specs *form"], take: Take
    ) -> Float[Tensor, "all_rows both"]:
        """Give the least values of the forms and, after them, those of their negations: arguments as for `minimum`."""
        return self.minimum(torch.cat([a, -a], 1), take)

    @abstractmethod
    def select(self, index: Tensor) -> Region:
        """Keep the examples that `index` (integers or booleans) picks."""

    def contains(
        self, x: Float[Tensor, "batch *input"], *, tolerance: float = 1e-6
    ) -> Bool[Tensor, " batch"]:
        """Say for each example whether `x` lies in the region, up to `tolerance` relative to its size."""
        if tolerance == 0:
            return norms.flat((x >= self.lower) & (x <= self.upper)).all(1)
        ends = (self.center, self.center) if self.is_unbounded else (self.lower, self.upper)
        slack = tolerance * (1 + ends[0].abs().maximum(ends[1].abs()))
        inside = (x >= self.lower - slack) & (x <= self.upper + slack)
        return norms.flat(inside).all(1)

    def minimizer_of(self, a: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Give a point of the region with a small value of ``sum(a * x)`` (the minimiser for boxes and balls)."""
        return self.project(self.center + self.ascent(-a))
