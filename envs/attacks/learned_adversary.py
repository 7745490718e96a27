"""The learned adversary: a policy of its own chooses the place in B(s) that is shown."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_fields, check_kind
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies import Agent, Policy
from .adversary import Memoryless


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedAdversary(Memoryless):
    """Show the place in B(s) that a trained policy chooses: the optimal adversary is a policy of this kind.

    Source: Zhang et al. 2021 (ATLA), section 3.

    Args:
        adversary: from the agent's states to places in [-1, 1]^n. See `AdversaryTraining` and `placed`.
        timesteps: it was trained for, >= 0.
    """

    adversary: Agent
    timesteps: int

    def __post_init__(self) -> None:
        check_kind(self.adversary, Agent, "adversary", "an Agent, from AdversaryTraining().prepare(...)")
        check_fields(self, "timesteps", integer=True, least=0)

    @property
    def name(self) -> str:
        return "learned adversary"

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        return placed(chosen(self.adversary, states, self.name), states, perturbation)


def placed(
    places: Float[Tensor, "batch coordinates"],
    states: Float[Tensor, "batch *state"],
    perturbation: Perturbation,
) -> Float[Tensor, "batch *state"]:
    """Give the states at some places of their regions: 0 is the true state, -1 and 1 are the ends of each coordinate.

    Args:
        places: in [-1, 1]; what lies beyond is cut off. Balls that are no box are met by projection.
        states: the true ones.
        perturbation: B(s).
    """
    region = perturbation.around(states)
    share = places.to(states).clamp(-1, 1).view_as(states)
    up, down = region.upper - region.center, region.center - region.lower
    return region.project(region.center + torch.where(share >= 0, share * up, share * down))


@torch.no_grad()
def chosen(adversary: Agent, states: Tensor, name: str) -> Tensor:
    """Give what an adversary's policy decides at the true states.

    Raises:
        InvalidInput: it was trained against an agent with other states.
    """
    try:
        return adversary.policy.act(adversary.states(states))
    except (RuntimeError, InvalidInput) as error:
        raise InvalidInput(
            f"adversary '{name}' of '{adversary.env}' does not take states of shape {tuple(states.shape[1:])} "
            f"({str(error).splitlines()[0]}); expected one that was trained against this agent"
        ) from None
