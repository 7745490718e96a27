"""Policies that take the action of the largest value: DQN and its kin."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustsuite.arguments import check_number
from robustsuite.attacks import HighestLoss, losses
from robustsuite.errors import InvalidInput

from .policy import Policy


class QFunction(Policy):
    """A network that gives one value for each action; the greedy one is taken.

    Args:
        network: maps states (batch, *state) to (batch, actions).
        actions: number of actions, >= 2.

    Raises:
        InvalidInput: fewer than two actions, or no module.
    """

    kind: ClassVar[str] = "q"

    def __init__(self, network: nn.Module, actions: int) -> None:
        super().__init__(network)
        check_number("actions", actions, integer=True)
        if actions < 2:
            raise InvalidInput(f"the agent has {actions} action(s); expected at least 2 to compare")
        self.actions = actions

    def decide(self, outputs: Float[Tensor, "batch actions"]) -> Int[Tensor, " batch"]:
        return outputs.argmax(1)

    @torch.no_grad()
    def greedy(self, states: Float[Tensor, "batch *state"]) -> Int[Tensor, " batch"]:
        """Give the index of the largest value: the deterministic action."""
        return self(states).argmax(1)

    def distance(self, a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
        """Give 1 where the actions differ."""
        return (a != b).float()

    def divergence(self, states: Float[Tensor, "batch *state"]) -> HighestLoss:
        """Give the margin of the greedy action at the true states; nothing is ever far enough."""
        return HighestLoss(self.greedy(states), losses.margin)
