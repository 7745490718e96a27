"""The critic attack: show the state at which the agent does what its own critic likes least."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks, module_state
from robustsuite.arguments import check_fields
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.critics import ActionCritic
from ..policies.policy import Policy
from ..policies.q_function import QFunction
from .adversary import Memoryless
from .criteria import GreedyWorth, LeastWorth, LowestOutput, softened


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticAttack(Memoryless):
    """Minimise what the agent's own critic says: ``Q(s, mu(s^))``, where it has only values of states ``V(s^)``, and of a
    Q function ``Q(s, argmax_a Q(s^, a))``.

    The true state stands in the critic's first place (in the first paper the shown one does). The search begins at it: steps
    of radius / steps just reach the corners from there.

    Source: Pattanaik et al. 2018, section 4; Zhang et al. 2020, section 4, for the true state.

    Args:
        steps: gradient steps of radius / steps, >= 1.
    """

    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "critic"

    def check(self, policy: Policy) -> None:
        """See `Memoryless`."""
        if policy.critic is None and not isinstance(policy, QFunction):
            raise InvalidInput(
                f"adversary '{self.name}' lowers the agent's critic, and the policy has none; expected an agent with one, "
                "or an adversary with a critic of its own: RobustSarsa(...)"
            )

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        attack = attacks.PGD(steps=self.steps, step_size=1 / self.steps, random_start=False)
        if isinstance(policy, QFunction):
            with torch.no_grad():
                worth = GreedyWorth(policy(states))
            soft = replace(attack, loss=softened)
            return soft(policy.network, states, worth, perturbation, generator=seeds).adversarial
        critic = policy.critic
        assert critic is not None
        if isinstance(critic, ActionCritic):
            with module_state.frozen(critic.network):
                least = LeastWorth(critic, policy, states)
                return attack(policy.network, states, least, perturbation, generator=seeds).adversarial
        return attack(critic.network, states, LowestOutput(), perturbation, generator=seeds).adversarial
