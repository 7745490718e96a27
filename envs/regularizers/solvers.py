"""Who solves the inner problem: how large can a quantity get when the state moves inside B(s)?

The convex regulariser answers from above (sound, by bound propagation), the searching ones from below.

Source: Zhang et al. 2020 (SA-MDP), sections 3.2 to 3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks, bounds, module_state, seeding
from robustsuite.arguments import check_fields
from robustsuite.attacks.criteria import BatchCriterion
from robustsuite.bounds import Bounds
from robustsuite.perturbations import Region
from robustsuite.training.schedules import Linear, Schedule, check_shares

from ..policies.policy import Policy
from .quantities import Quantity


@runtime_checkable
class Regularizer(Protocol):
    """Solves or bounds the inner problem, differentiably in the network's parameters."""

    def worst(
        self,
        policy: Policy,
        quantity: Quantity,
        region: Region,
        *,
        ramp: float,
        generator: torch.Generator,
    ) -> Float[Tensor, " batch"]:
        """Give the largest value of the quantity for each state.

        Args:
            policy: in training.
            quantity: what may move, for the batch.
            region: B(s) of the batch.
            ramp: eps as a share of its final value, in (0, 1].
            generator: of random starts.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvexRegularizer:
    """Bound the quantity from above, by bounds that are ``beta * CROWN-IBP + (1 - beta) * IBP``.

    Linear forms (the differences of Q, where the margin is meant) are propagated through the last layer, never a
    difference of separate bounds.

    Args:
        beta: share of CROWN-IBP by the factor on the radius, in [0, 1]: at 0 when its ramp begins, at 1 when it ends.

    Raises:
        InvalidInput: a share outside [0, 1].
    """

    beta: Schedule = Linear(start=1.0, end=0.0, length=1.0)

    def __post_init__(self) -> None:
        check_shares("beta", self.beta)

    def worst(
        self, policy: Policy, quantity: Quantity, region: Region, *, ramp: float, generator: torch.Generator
    ) -> Float[Tensor, " batch"]:
        """See `Regularizer`. Never below the true worst value."""
        graph, beta = policy.graph(region.center), self.beta(ramp)
        upper = not quantity.lower_only
        found: Bounds | None = None
        for share, method in ((1 - beta, bounds.ibp), (beta, bounds.crown_ibp)):
            if share > 0:
                part = method(graph, region, objective=quantity.objective, upper=upper)
                found = part if share == 1 else _mixed(found, part, share, upper=upper)
        assert found is not None
        return quantity.above(found)


def _mixed(so_far: Bounds | None, part: Bounds, share: float, *, upper: bool) -> Bounds:
    ends = (part.lower * share, part.upper * share if upper else part.upper)
    if so_far is None:
        return Bounds(*ends)
    return Bounds(so_far.lower + ends[0], so_far.upper + ends[1] if upper else ends[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class PGDRegularizer:
    """Search the quantity's maximum by sign steps of radius / steps from a uniform start; the best state on the way counts.

    Note:
        SA-DQN's reference sums the margin over the batch and clamps the sum once; here each state has its own.

    Args:
        steps: gradient steps, >= 1.

    Raises:
        InvalidInput: fewer than one step.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)

    def worst(
        self, policy: Policy, quantity: Quantity, region: Region, *, ramp: float, generator: torch.Generator
    ) -> Float[Tensor, " batch"]:
        """See `Regularizer`. Never above the true worst value."""
        attack = attacks.PGD(steps=self.steps, step_size=1 / self.steps)
        shown = attack.within(policy.network, Highest(quantity), region, generator=generator).adversarial
        return quantity.value(policy(shown))


@dataclass(frozen=True, slots=True, kw_only=True)
class SGLDRegularizer:
    """Search the quantity's maximum by Langevin steps: sign steps on a gradient with noise that dies away.

    Step i goes radius / steps along the sign of ``gradient + sqrt(2 * temperature * radius / steps) / (i + 2) * noise``; the
    last state counts.

    Args:
        steps: gradient steps, >= 1.
        temperature: of the noise, >= 0; the default is that of SA-PPO's code, in SA-DDPG's it is 1e-10.

    Raises:
        InvalidInput: a number outside its range.

    Source: Zhang et al. 2020, section 3.2 and appendix; the authors' code for the noise.
    """

    steps: int = 10
    temperature: float = 1e-5

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)
        check_fields(self, "temperature", least=0)

    def worst(
        self, policy: Policy, quantity: Quantity, region: Region, *, ramp: float, generator: torch.Generator
    ) -> Float[Tensor, " batch"]:
        """See `Regularizer`. Never above the true worst value."""
        point, highest = region.sample(generator=generator), Highest(quantity)
        scale = (2 * self.temperature / self.steps * region.radius).sqrt()
        scale = scale.view(-1, *[1] * (point.dim() - 1))
        with module_state.evaluating(policy.network), module_state.frozen(policy.network):
            for step in range(self.steps):
                gradient = _gradient(policy.network, highest.score, point)
                seeds = seeding.example_seeds(len(point), generator=generator).to(point.device)
                noise = torch.special.ndtri(seeding.uniform(seeds, point[0].numel()))
                gradient = gradient + scale / (step + 2) * noise.to(point).view_as(point)
                point = region.project(point + region.ascent(gradient) / self.steps)
        return quantity.value(policy(point))


def _gradient(
    network: Callable[[Tensor], Tensor], score: Callable[[Tensor], Tensor], point: Tensor
) -> Tensor:
    with torch.enable_grad():
        at = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(score(network(at)).sum(), at)
    return gradient


class Highest(BatchCriterion):
    """A quantity as a criterion of attacks: its value is raised, and never high enough.

    Args:
        quantity: what may move, for the batch.
    """

    least_outputs = 1

    def __init__(self, quantity: Quantity) -> None:
        self._quantity = quantity

    def met(self, outputs: Tensor) -> Tensor:
        return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)

    def score(self, outputs: Tensor) -> Tensor:
        return self._quantity.value(outputs)

    def select(self, index: Tensor) -> Highest:
        return Highest(self._quantity.select(index))

    def check_examples(self, count: int, device: torch.device) -> None:
        """Quantities are made for their batch by the algorithms."""

    def check_outputs(self, outputs: Tensor) -> None:
        """Quantities are made for their network by the algorithms."""
