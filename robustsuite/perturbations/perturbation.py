"""What a threat model is: it binds itself to a batch, and can be scaled and described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from robustsuite.perturbations.region import Region


@dataclass(frozen=True, slots=True, eq=False)
class Perturbation(ABC):
    """A threat model, independent of any example."""

    @abstractmethod
    def around(self, x: Float[Tensor, "batch *input"]) -> Region:
        """Bind the threat model to a batch.

        Raises:
            InvalidInput: `x` holds NaN or infinity, lies outside the clip range, or does not have
                the shape of a per-feature radius.
        """

    @abstractmethod
    def scaled(self, factor: float) -> Perturbation:
        """Give the same threat model with its radius multiplied by `factor` >= 0."""

    @abstractmethod
    def describe(self) -> str:
        """Give a short text for tables, such as ``Linf(0.03)``."""

    @property
    def norm(self) -> str:
        """What the radius is a radius in, such as "Linf"; "" where there is no radius. Curves join those of one norm."""
        return ""

    @property
    def radius(self) -> float | None:
        """The radius (the largest, if it differs by feature) or the budget, or None where there is none."""
        return None
