"""Random noise: a uniform point of the region. The weakest adversary, and the baseline of all others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.perturbations import Perturbation

from ..q_function import QFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomNoise:
    """Show a state drawn uniformly from B(s)."""

    @property
    def name(self) -> str:
        return "random noise"

    def __call__(
        self,
        q: QFunction,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        *,
        generator: torch.Generator,
    ) -> Float[Tensor, "batch *observation"]:
        return perturbation.around(states).sample(generator=generator)
