"""PGD on Q: show a state at which another action looks best."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks
from robustsuite.arguments import check_fields
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.policy import Policy
from .adversary import Memoryless, check_values


@dataclass(frozen=True, slots=True, kw_only=True)
class PGDOnQ(Memoryless):
    """Maximise ``max_{a != a*} Q(s^, a) - Q(s^, a*)`` over B(s), with a* the greedy action at s.

    Source: Zhang et al. 2020, section 4 (attack on DQN).

    Note:
        The reference maximises the cross entropy of Q as logits. The margin has the same maximiser for two actions,
        does not saturate, and its sign is what decides the action.

    Args:
        steps: gradient steps per start, >= 1.
        restarts: random starts for the states at which the action still stands, >= 1.
    """

    steps: int = 10
    restarts: int = 1

    def __post_init__(self) -> None:
        check_fields(self, "steps", "restarts", integer=True, least=1)

    @property
    def name(self) -> str:
        return "PGD on Q"

    def check(self, policy: Policy) -> None:
        """See `Memoryless`."""
        check_values(self, policy)

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        attack = attacks.PGD(steps=self.steps, restarts=self.restarts)
        result = attack(policy.network, states, policy.act(states), perturbation, generator=seeds)
        return result.adversarial
