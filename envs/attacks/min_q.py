"""Min-Q: make the agent take the action that it values least at the true state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks
from robustsuite.arguments import check_fields
from robustsuite.attacks import Targeted
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.policy import Policy
from .adversary import Memoryless, check_values


@dataclass(frozen=True, slots=True, kw_only=True)
class MinQ(Memoryless):
    """Minimise the true value of the shown state's greedy action, ``Q(s, argmax_a Q(s^, a))``.

    PGD toward the least valued action first; where it fails, toward the next one, and so on up to (not including) the
    greedy action: the first that succeeds is the worst that was reached.

    Source: Pattanaik et al. 2018, section 4 (the paper takes single gradient steps toward the least valued action).

    Args:
        steps: gradient steps toward each action, >= 1.
    """

    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "min-Q"

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
        with torch.no_grad():
            order = policy(states).argsort(dim=1)
        shown = states.detach().clone()
        standing = torch.ones(len(states), dtype=torch.bool, device=states.device)
        for rank in range(order.shape[1] - 1):
            wanted = order[:, rank]
            attack = attacks.PGD(steps=self.steps)
            result = attack(policy.network, states, Targeted(wanted), perturbation, generator=seeds)
            reached = result.success & standing
            shown[reached] = result.adversarial[reached]
            standing &= ~result.success
            if not bool(standing.any()):
                break
        return shown
