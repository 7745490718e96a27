"""Toward one action: show a state at which the wanted action looks best, at every step where that can be done.

An adversary that only flips the greedy action may help the agent as often as it harms it: the next flip undoes the last.
Always pushing the same way adds up, and breaks agents that survive PGD on Q.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks
from robustsuite.arguments import check_fields
from robustsuite.attacks import Targeted
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.policy import Policy
from .adversary import Memoryless, check_values


@dataclass(frozen=True, slots=True, kw_only=True)
class TowardAction(Memoryless):
    """Maximise ``Q(s^, action) - max_{a != action} Q(s^, a)`` over B(s) by PGD.

    Args:
        action: the wanted action, >= 0.
        steps: gradient steps, >= 1.
    """

    action: int = 0
    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)
        check_fields(self, "action", integer=True, least=0)

    @property
    def name(self) -> str:
        return f"toward action {self.action}"

    def check(self, policy: Policy) -> None:
        """See `Memoryless`."""
        values = check_values(self, policy)
        if self.action >= values.actions:
            raise InvalidInput(
                f"the wanted action is {self.action}; expected one of the agent's, 0..{values.actions - 1}"
            )

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        if bool((policy.act(states) == self.action).all()):
            return states.detach().clone()
        wanted = torch.full((len(states),), self.action, device=states.device)
        attack = attacks.PGD(steps=self.steps)
        return attack(policy.network, states, Targeted(wanted), perturbation, generator=seeds).adversarial
