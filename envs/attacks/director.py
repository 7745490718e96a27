"""PA-AD: a director chooses where the agent's decision shall go, and PGD finds the state that takes it there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks
from robustsuite.arguments import check_fields, check_kind
from robustsuite.attacks import Targeted
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies import ActionDistance, Agent, Policy, QFunction
from .adversary import Memoryless
from .criteria import Directed
from .learned_adversary import chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Director(Memoryless):
    """Move the agent's decision as a trained policy directs: a space as small as the agent's actions, whatever it sees.

    Source: Sun et al. 2022 (PA-AD), section 4.

    Args:
        director: from the agent's states to an action to force, or to a direction of continuous actions. See
            `DirectorTraining` and `directed`.
        timesteps: it was trained for, >= 0.
        steps: gradient steps of the inner PGD, >= 1.
    """

    director: Agent
    timesteps: int
    steps: int = 10

    def __post_init__(self) -> None:
        check_kind(self.director, Agent, "director", "an Agent, from DirectorTraining().prepare(...)")
        check_fields(self, "timesteps", integer=True, least=0)
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "PA-AD"

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        moves = chosen(self.director, states, self.name)
        return directed(policy, moves, states, perturbation, seeds, steps=self.steps)


def directed(
    policy: Policy,
    moves: Tensor,
    states: Float[Tensor, "batch *state"],
    perturbation: Perturbation,
    seeds: ExampleSeeds,
    *,
    steps: int,
) -> Float[Tensor, "batch *state"]:
    """Give the states at which the agent decides as directed.

    Args:
        policy: under attack.
        moves: actions to force (where one is out of reach, the true state is shown), shape (batch,); or directions in which
            continuous actions go, ``cos(mu(s^) - mu(s), move) + |mu(s^) - mu(s)|``, shape (batch, coordinates).
        states: the true ones.
        perturbation: B(s).
        seeds: of the starts.
        steps: of PGD, >= 1.
    """
    attack = attacks.PGD(steps=steps)
    if isinstance(policy, QFunction):
        wanted = Targeted(moves.long().flatten())
        result = attack(policy.network, states, wanted, perturbation, generator=seeds)
        missed = ~result.success.view(-1, *[1] * (states.dim() - 1))
        return torch.where(missed, states, result.adversarial)
    distance = policy.divergence(states)
    assert isinstance(distance, ActionDistance)
    sought = Directed(distance.reference, distance.unit, moves.to(states))
    return attack(policy.network, states, sought, perturbation, generator=seeds).adversarial
