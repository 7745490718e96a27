"""Strategically timed attacks: strike only where the agent's decision matters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_fields, check_kind
from robustsuite.perturbations import Perturbation

from ..policies import Policy, QFunction
from ..streams import Streams
from .adversary import Adversary, Attacker, check_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Show what another adversary shows where the agent clearly prefers an action, the true state elsewhere.

    The preference is ``max softmax(Q / T) - min softmax(Q / T)`` at the true state.

    Source: Lin et al. 2017, section 3.1.

    Args:
        adversary: what strikes.
        threshold: least preference at which it does, in [0, 1]; 0: always.
        temperature: T, > 0.
    """

    adversary: Adversary
    threshold: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_kind(self.adversary, Adversary, "adversary", "an observation attack such as PGDOnQ()")
        check_fields(self, "threshold", least=0, most=1)
        check_fields(self, "temperature", above=0)

    @property
    def name(self) -> str:
        return f"timed {self.adversary.name}"

    def start(self, policy: Policy, perturbation: Perturbation, streams: Streams) -> Attacker:
        """See `Adversary`."""
        return _Timed(self, check_values(self, policy), self.adversary.start(policy, perturbation, streams))


@dataclass(frozen=True, slots=True)
class _Timed:
    timed: Timed
    policy: QFunction
    attacker: Attacker

    @torch.no_grad()
    def show(
        self, states: Float[Tensor, "batch *state"], first: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch *state"]:
        share = (self.policy(states) / self.timed.temperature).softmax(1)
        strikes = share.amax(1) - share.amin(1) >= self.timed.threshold
        shown = self.attacker.show(states, first)
        return torch.where(strikes.view(-1, *[1] * (states.dim() - 1)), shown, states)
