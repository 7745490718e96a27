"""The inner problem of SA-DQN: how much better than the greedy action can another action look inside the ball?

Both regularisers give, for each state, ``max over s^ in B(s) and a != a* of Q(s^, a) - Q(s^, a*)``: the convex one from
above (sound, by bound propagation), the PGD one from below (by search).

Source: Zhang et al. 2020 (SA-MDP), section 3.4, equation (10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite import attacks, bounds
from robustsuite.arguments import check_fields
from robustsuite.attacks import HighestLoss, losses
from robustsuite.perturbations import Region
from robustsuite.training.schedules import Linear, Schedule, check_shares

from .q_function import QFunction


class Regularizer(Protocol):
    """Solves or bounds the inner problem, differentiably in the network's parameters."""

    def worst_margin(
        self,
        q: QFunction,
        region: Region,
        actions: Int[Tensor, " batch"],
        *,
        ramp: float,
        generator: torch.Generator,
    ) -> Float[Tensor, " batch"]:
        """Give the worst margin of each state.

        Args:
            q: the network in training.
            region: B(s) of the batch.
            actions: a*, the greedy action at each true state.
            ramp: eps as a share of its final value, in (0, 1].
            generator: of random starts.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexRegularizer:
    """Bound the margin from above by ``beta * CROWN-IBP + (1 - beta) * IBP`` of the differences of Q.

    The rows ``e_{a*} - e_a`` are propagated through the last layer, never a difference of separate bounds.

    Args:
        beta: share of CROWN-IBP by the factor on the radius, in [0, 1]: at 0 when its ramp begins, at 1 when it ends.

    Raises:
        InvalidInput: a share outside [0, 1].
    """

    beta: Schedule = Linear(start=1.0, end=0.0, length=1.0)

    def __post_init__(self) -> None:
        check_shares("beta", self.beta)

    def worst_margin(
        self,
        q: QFunction,
        region: Region,
        actions: Int[Tensor, " batch"],
        *,
        ramp: float,
        generator: torch.Generator,
    ) -> Float[Tensor, " batch"]:
        """See `Regularizer`. Never below the true worst margin."""
        graph = q.graph(region.center)
        rows = bounds.margins(q.actions, actions).to(region.center)
        beta = self.beta(ramp)
        lower = torch.zeros(())
        if beta < 1:
            lower = (1 - beta) * bounds.ibp(graph, region, objective=rows, upper=False).lower
        if beta > 0:
            lower = lower + beta * bounds.crown_ibp(graph, region, objective=rows, upper=False).lower
        return -lower.amin(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PGDRegularizer:
    """Search the margin's maximum by sign steps of radius / steps from a uniform start; the best state on the way counts.

    Note:
        The reference sums the margin over the batch and clamps the sum once; here each state has its own margin.

    Args:
        steps: gradient steps, >= 1.

    Raises:
        InvalidInput: fewer than one step.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)

    def worst_margin(
        self,
        q: QFunction,
        region: Region,
        actions: Int[Tensor, " batch"],
        *,
        ramp: float,
        generator: torch.Generator,
    ) -> Float[Tensor, " batch"]:
        """See `Regularizer`. Never above the true worst margin."""
        attack = attacks.PGD(steps=self.steps, step_size=1 / self.steps)
        sought = HighestLoss(actions, losses.margin)
        shown = attack.within(q.network, sought, region, generator=generator).adversarial
        return losses.margin(q(shown), actions)
