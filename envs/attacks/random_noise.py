"""Random noise: a uniform point of the region. The weakest adversary, and the baseline of all others."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.policy import Policy
from .adversary import Memoryless


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomNoise(Memoryless):
    """Show a state drawn uniformly from B(s)."""

    @property
    def name(self) -> str:
        return "random noise"

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        return perturbation.around(states).sample_seeded(seeds.seeds)
