"""What all policies share: from what a network eats to what is decided, for attacks, bounds and rollouts alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.arguments import check_kind
from robustsuite.attacks import Criterion

if TYPE_CHECKING:
    from robustsuite.bounds import Graph

    from .critics import Critic

Memory = Tensor
"""What a policy remembers from step to step: one row for each environment."""


class Policy(ABC):
    """A policy as attacks, bounds and rollouts see it. A *state* is what its network eats: after all preprocessing.

    The graph is traced at its first use and kept; parameters stay live, so one object serves a whole training.

    Args:
        network: from states (batch, *state) to one row of numbers for each: values of actions, or an action.
        critic: what the agent itself believes a state (and action) to be worth, or None.

    Raises:
        InvalidInput: the network is no module.

    Source: Zhang et al. 2020 (SA-MDP), section 3: only what the policy sees is attacked.
    """

    kind: ClassVar[str]

    def __init__(self, network: nn.Module, *, critic: Critic | None = None) -> None:
        check_kind(network, nn.Module, "network", "a torch.nn.Module from states to one row of numbers each")
        self.network = network
        self.critic = critic
        self._graphs: dict[bool, Graph] = {}

    @abstractmethod
    def decide(self, outputs: Float[Tensor, "batch outputs"]) -> Tensor:
        """Give the deterministic action for each row of the network's outputs, as the environment takes it."""

    @abstractmethod
    def distance(self, a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
        """Say how far apart two batches of actions are; 0 where they are the same."""

    @abstractmethod
    def divergence(self, states: Float[Tensor, "batch *state"]) -> Criterion:
        """Give the criterion of the maximal action difference (MAD): how far the shown state moves the policy.

        Source: Zhang et al. 2020, section 4 and appendix (MAD attack); the distance is that of the policy's kind.
        """

    def __call__(self, states: Float[Tensor, "batch *state"]) -> Float[Tensor, "batch outputs"]:
        """Give the network's outputs."""
        outputs: Tensor = self.network(states)
        return outputs

    @torch.no_grad()
    def act(self, states: Float[Tensor, "batch *state"]) -> Tensor:
        """Give the deterministic action at each state, without memory."""
        return self.decide(self(states))

    def start(self, count: int) -> Memory | None:
        """Give the memory at the beginning of `count` episodes; None: the policy has none."""
        return None

    @torch.no_grad()
    def step(
        self, states: Float[Tensor, "batch *state"], memory: Memory | None, first: Bool[Tensor, " batch"]
    ) -> tuple[Tensor, Memory | None]:
        """Give the deterministic actions and the memory after them.

        Args:
            states: what is shown.
            memory: from `start`, or from the step before.
            first: whether a new episode begins with this state; its memory begins anew.
        """
        return self.act(states), memory

    def graph(self, example: Float[Tensor, "batch *state"], *, sound: bool = False) -> Graph:
        """Give the traced network.

        Args:
            example: a batch that shows shape, dtype and device.
            sound: whether its bounds hold for the network as it is computed in floating point. See `bounds.trace`.
        """
        if sound not in self._graphs:
            self._graphs[sound] = bounds.trace(self.network, example.detach(), sound=sound)
        return self._graphs[sound]

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's parameters."""
        return next(self.network.parameters()).dtype
