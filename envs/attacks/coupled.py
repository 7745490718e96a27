"""Attacks that are coupled in time: the perturbation moves little from step to step, as a drifting sensor's does."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_fields, check_kind
from robustsuite.perturbations import Perturbation

from ..policies import Policy
from ..streams import Streams
from .adversary import Adversary, Attacker


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupled:
    """Follow another adversary's perturbation, no faster than a share of the radius for each step.

    ``|d_t - d_(t-1)| <= step * radius`` as well as ``|d_t| <= radius``; an episode begins with d = 0.

    Source: Liang et al. 2024 (GRAD), section 3: temporally coupled perturbations.

    Args:
        adversary: whose perturbations are followed.
        step: share of the radius, in (0, 2]; 2: no limit.
    """

    adversary: Adversary
    step: float = 0.2

    def __post_init__(self) -> None:
        check_kind(self.adversary, Adversary, "adversary", "an observation attack such as PGDOnQ()")
        check_fields(self, "step", above=0, most=2)

    @property
    def name(self) -> str:
        return f"coupled {self.adversary.name}"

    def start(self, policy: Policy, perturbation: Perturbation, streams: Streams) -> Attacker:
        """See `Adversary`."""
        inner = self.adversary.start(policy, perturbation, streams)
        return _Coupled(inner, perturbation, perturbation.scaled(self.step))


@dataclass(slots=True)
class _Coupled:
    attacker: Attacker
    perturbation: Perturbation
    nearby: Perturbation
    last: Tensor | None = field(default=None, init=False)

    def show(
        self, states: Float[Tensor, "batch *state"], first: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch *state"]:
        last = torch.zeros_like(states) if self.last is None else self.last
        last = torch.where(first.view(-1, *[1] * (states.dim() - 1)), 0.0, last)
        shown = self.attacker.show(states, first)
        # The ball of the step stands around the last perturbation, carried to the present state.
        start = self.perturbation.around(states).project(states + last)
        shown = self.nearby.around(start).project(shown)
        shown = self.perturbation.around(states).project(shown)
        self.last = (shown - states).detach()
        return shown
