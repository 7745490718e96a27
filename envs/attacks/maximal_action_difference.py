"""Maximal action difference (MAD): show the state at which the policy decides most differently."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks
from robustsuite.arguments import check_fields
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.policy import Policy
from .adversary import Memoryless


@dataclass(frozen=True, slots=True, kw_only=True)
class MaximalActionDifference(Memoryless):
    """Maximise the policy's own divergence between s and s^ over B(s): `Policy.divergence`.

    Sign steps from a uniform start, because the gradient is zero at s itself; the best state on the way is shown. Steps are
    2.5 radius / steps: the reference starts near s and goes radius / steps, which reaches no corner from afar. It asks no critic: what harms the agent and what helps it are the same to it.

    Source: Zhang et al. 2020, section 4 and appendix (MAD).

    Args:
        steps: gradient steps, >= 1.
    """

    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "MAD"

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        attack = attacks.PGD(steps=self.steps)
        result = attack(policy.network, states, policy.divergence(states), perturbation, generator=seeds)
        return result.adversarial
