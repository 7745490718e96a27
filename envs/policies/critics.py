"""Critics: what a state, or an action at a state, is believed to be worth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class ActionCritic:
    """Values of actions: ``Q(s, a)``.

    Args:
        network: from states and actions side by side, (batch, state + action), to (batch, 1).
    """

    network: nn.Module

    def __call__(
        self, states: Float[Tensor, "batch state"], actions: Float[Tensor, "batch action"]
    ) -> Float[Tensor, " batch"]:
        """Give the value of each action at its state."""
        value: Tensor = self.network(torch.cat([states, actions], 1))
        return value.squeeze(1)


@dataclass(frozen=True, slots=True, eq=False)
class StateCritic:
    """Values of states: ``V(s)``.

    Args:
        network: from states to (batch, 1).
    """

    network: nn.Module

    def __call__(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, " batch"]:
        """Give the value of each state."""
        value: Tensor = self.network(states)
        return value.squeeze(1)


Critic = ActionCritic | StateCritic
