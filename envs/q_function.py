"""The action-value network as attacks, bounds and certificates see it: policy input -> one value per action."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.arguments import check_kind, check_number
from robustsuite.errors import InvalidInput

if TYPE_CHECKING:
    from robustsuite.bounds import Graph


class QFunction:
    """A Q network with its traced graph.

    The graph is captured at its first use and kept; parameters stay live, so one object serves a whole training.
    The input is what the network itself eats: vectors as they are, images already scaled to [0, 1].

    Args:
        network: maps (batch, *observation) to (batch, actions).
        actions: number of actions, >= 2.

    Raises:
        InvalidInput: fewer than two actions.
    """

    def __init__(self, network: nn.Module, actions: int) -> None:
        check_kind(
            network, nn.Module, "network", "a torch.nn.Module from observations to one value per action"
        )
        check_number("actions", actions, integer=True)
        if actions < 2:
            raise InvalidInput(f"the agent has {actions} action(s); expected at least 2 to compare")
        self.network = network
        self.actions = actions
        self._graph: Graph | None = None

    def __call__(self, observations: Float[Tensor, "batch *observation"]) -> Float[Tensor, "batch actions"]:
        values: Tensor = self.network(observations)
        return values

    @torch.no_grad()
    def greedy(self, observations: Float[Tensor, "batch *observation"]) -> Int[Tensor, " batch"]:
        """Give the index of the largest value: the deterministic action."""
        return self(observations).argmax(1)

    def graph(self, example: Float[Tensor, "batch *observation"]) -> Graph:
        """Give the traced network; `example` is a batch that shows shape, dtype and device."""
        if self._graph is None:
            self._graph = bounds.trace(self.network, example.detach())
        return self._graph

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next(self.network.parameters()).device
