"""Policies on continuous actions: deterministic ones (DDPG, TD3), and Gaussian ones that act by their mean (PPO)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite.arguments import check_kind
from robustsuite.attacks.criteria import BatchCriterion
from robustsuite.errors import InvalidInput

from .critics import Critic
from .policy import Policy


class Deterministic(Policy):
    """A network that gives the action itself.

    Args:
        network: from states to actions (batch, coordinates), squashing included.
        critic: of the agent, or None.
        spread: of each coordinate of the action, > 0, what its distance counts in; None: 1. The published agents'
            is the deviation of a trained agent's actions.

    Source: Zhang et al. 2020, section 3.3 (SA-DDPG).
    """

    kind: ClassVar[str] = "deterministic"

    def __init__(
        self, network: nn.Module, *, critic: Critic | None = None, spread: Sequence[float] | None = None
    ) -> None:
        super().__init__(network, critic=critic)
        self.spread = None if spread is None else tuple(float(value) for value in spread)
        if self.spread is not None and not all(value > 0 for value in self.spread):
            raise InvalidInput(f"spread is {self.spread}; expected positive numbers, one for each coordinate")

    def decide(self, outputs: Float[Tensor, "batch coordinates"]) -> Float[Tensor, "batch coordinates"]:
        return outputs

    def distance(self, a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
        """Give the L2 distance, in the units of the environment's actions."""
        apart: Tensor = torch.linalg.vector_norm((a - b).flatten(1), dim=1)
        return apart

    def divergence(self, states: Float[Tensor, "batch *state"]) -> ActionDistance:
        """Give ``sum_j ((mu_j(s^) - mu_j(s)) / spread_j)^2``."""
        mean = self.act(states)
        unit = torch.ones_like(mean) if self.spread is None else mean.new_tensor(self.spread).expand_as(mean)
        return ActionDistance(mean, unit)


class Gaussian(Policy):
    """A network that gives the mean of a Gaussian with a deviation of its own; the deterministic action is the mean.

    Args:
        network: from states to means (batch, coordinates).
        log_std: logarithm of the deviation of each coordinate, shape (coordinates,); it stays live.
        critic: of the agent, or None.
        limits: lowest and highest action of each coordinate, shape (2, coordinates), to which the mean is cut before the
            environment takes it; None: the environment takes the mean as it is.

    Source: Zhang et al. 2020, section 3.2 (SA-PPO).
    """

    kind: ClassVar[str] = "gaussian"

    def __init__(
        self,
        network: nn.Module,
        log_std: Tensor,
        *,
        critic: Critic | None = None,
        limits: Tensor | None = None,
    ) -> None:
        super().__init__(network, critic=critic)
        check_kind(log_std, Tensor, "log_std", "a tensor with a number for each coordinate")
        self.log_std = log_std
        self.limits = limits

    def decide(self, outputs: Float[Tensor, "batch coordinates"]) -> Float[Tensor, "batch coordinates"]:
        if self.limits is None:
            return outputs
        return outputs.clamp(self.limits[0], self.limits[1])

    def distance(self, a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
        """Give the L2 distance, in the units of the environment's actions."""
        apart: Tensor = torch.linalg.vector_norm((a - b).flatten(1), dim=1)
        return apart

    @torch.no_grad()
    def divergence(self, states: Float[Tensor, "batch *state"]) -> ActionDistance:
        """Give ``sum_j ((mu_j(s^) - mu_j(s)) / sigma_j)^2``, twice the divergence of Kullback and Leibler in nats."""
        mean = self(states)
        return ActionDistance(mean, self.log_std.detach().exp().expand_as(mean))


class ActionDistance(BatchCriterion):
    """How far the actions lie from those at the true states: ``sum_j ((a_j - reference_j) / unit_j)^2``; never met.

    The gradient is zero at the true state itself: attacks need a random start.

    Args:
        reference: actions at the true states, shape (batch, coordinates).
        unit: what the distance counts in, shape (batch, coordinates), > 0.

    Source: Zhang et al. 2020, section 4 (maximal action difference).
    """

    least_outputs: ClassVar[int] = 1

    def __init__(self, reference: Tensor, unit: Tensor) -> None:
        self.reference, self.unit = reference, unit

    def met(self, outputs: Tensor) -> Tensor:
        return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)

    def score(self, outputs: Tensor) -> Tensor:
        return ((outputs - self.reference) / self.unit).square().sum(1)

    def select(self, index: Tensor) -> ActionDistance:
        return ActionDistance(self.reference[index], self.unit[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.reference) != count or self.reference.device != device:
            raise InvalidInput(
                f"the actions are {len(self.reference)} on {self.reference.device}; expected {count} on {device}"
            )

    def check_outputs(self, outputs: Tensor) -> None:
        if outputs.dim() != 2 or outputs.shape[1] != self.reference.shape[1]:
            raise InvalidInput(
                f"the policy gives {tuple(outputs.shape)}; expected actions of {self.reference.shape[1]} coordinates"
            )
