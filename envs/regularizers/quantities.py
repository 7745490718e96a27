"""What may move when a state moves inside B(s), as a loss per state: the margin, the action, the value's error ...

A quantity holds the data of its batch. It is a function of the network's outputs at the shown state (which a search
raises), and knows an upper bound of itself from bounds of these outputs (which bound propagation gives).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite import bounds
from robustsuite.attacks import losses
from robustsuite.bounds import Bounds

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Quantity(Protocol):
    """A loss per state that an adversary raises.

    Attributes:
        objective: linear forms of the outputs whose bounds `above` takes, as the bounding methods take them; None: the
            outputs themselves.
        lower_only: whether `above` needs their lower bounds alone.
    """

    @property
    def objective(self) -> Any: ...

    @property
    def lower_only(self) -> bool: ...

    def value(self, outputs: Float[Tensor, "batch outputs"]) -> Float[Tensor, " batch"]:
        """Give the loss of each state from the outputs at the shown state."""

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        """Give an upper bound of the loss of each state over B(s) from bounds of the linear forms."""

    def select(self, index: Tensor) -> Quantity:
        """Keep the states that `index` picks, in its order."""


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """``max over a != a* of Q(s^, a) - Q(s^, a*)``: how much better than the greedy action another one looks.

    Args:
        actions: a*, the greedy action at each true state, shape (batch,).
        count: number of actions.

    Source: Zhang et al. 2020 (SA-MDP), section 3.4, equation (10).
    """

    actions: Int[Tensor, " batch"]
    count: int
    lower_only: bool = field(default=True, init=False)

    @property
    def objective(self) -> Any:
        return bounds.margins(self.count, self.actions)

    def value(self, outputs: Float[Tensor, "batch actions"]) -> Float[Tensor, " batch"]:
        return losses.margin(outputs, self.actions)

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        return -found.lower.amin(1)

    def select(self, index: Tensor) -> Margin:
        return Margin(self.actions[index], self.count)


@dataclass(frozen=True, slots=True, eq=False)
class ActionShift:
    """``mean_j (mu_j(s^) - mu_j(s))^2``: how far a deterministic action moves.

    Args:
        actions: mu(s), shape (batch, coordinates); a gradient flows through it where it has one.

    Source: Zhang et al. 2020, section 3.3 (SA-DDPG); the mean over coordinates is that of the authors' code.
    """

    actions: Float[Tensor, "batch coordinates"]
    objective: Any = field(default=None, init=False)
    lower_only: bool = field(default=False, init=False)

    def value(self, outputs: Float[Tensor, "batch coordinates"]) -> Float[Tensor, " batch"]:
        return (outputs - self.actions).square().mean(1)

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        return _farthest(found, self.actions).square().mean(1)

    def select(self, index: Tensor) -> ActionShift:
        return ActionShift(self.actions[index])


@dataclass(frozen=True, slots=True, eq=False)
class GaussianShift:
    """``sum_j ((mu_j(s^) - mu_j(s)) / sigma_j)^2``: twice the divergence of two Gaussians of one deviation, in nats.

    Args:
        means: mu(s), shape (batch, coordinates); a gradient flows through it where it has one.
        deviations: sigma, shape (coordinates,) or (batch, coordinates), > 0.

    Source: Zhang et al. 2020, section 3.2 (SA-PPO); without the factor 1/2, as in the authors' code.
    """

    means: Float[Tensor, "batch coordinates"]
    deviations: Tensor
    objective: Any = field(default=None, init=False)
    lower_only: bool = field(default=False, init=False)

    def value(self, outputs: Float[Tensor, "batch coordinates"]) -> Float[Tensor, " batch"]:
        return ((outputs - self.means) / self.deviations).square().sum(1)

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        return (_farthest(found, self.means) / self.deviations).square().sum(1)

    def select(self, index: Tensor) -> GaussianShift:
        spread = self.deviations if self.deviations.dim() == 1 else self.deviations[index]
        return GaussianShift(self.means[index], spread)


@dataclass(frozen=True, slots=True, eq=False)
class BellmanError:
    """``|Q(s^, a) - y|`` of the action taken: the Bellman error that the worst shown state makes.

    Args:
        actions: a, the action taken at each state, shape (batch,).
        targets: y, from true states and without gradient, shape (batch,).
        count: number of actions.

    Source: Li et al. 2024 (CAR-DQN), section 4.
    """

    actions: Int[Tensor, " batch"]
    targets: Float[Tensor, " batch"]
    count: int
    lower_only: bool = field(default=False, init=False)

    @property
    def objective(self) -> Any:
        rows = torch.zeros(
            len(self.actions), 1, self.count, dtype=self.targets.dtype, device=self.targets.device
        )
        return rows.scatter_(2, self.actions.view(-1, 1, 1), 1.0)

    def value(self, outputs: Float[Tensor, "batch actions"]) -> Float[Tensor, " batch"]:
        return (outputs.gather(1, self.actions.unsqueeze(1)).squeeze(1) - self.targets).abs()

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        return _farthest(found, self.targets.unsqueeze(1)).squeeze(1)

    def select(self, index: Tensor) -> BellmanError:
        return BellmanError(self.actions[index], self.targets[index], self.count)


@dataclass(frozen=True, slots=True, eq=False)
class RadialOverlap:
    """``sum_a gap_a max(0, Q(s^, a) - Q(s^, taken) + gap_a / 2)``: how far worse actions reach up to the one taken.

    Bounded from above it takes the upper bound of each action and the lower bound of the one taken apart, as published.

    Args:
        actions: taken at each state, shape (batch,).
        gaps: how much worse each action is at the true state, >= 0, without gradient, shape (batch, actions).

    Source: Oikarinen et al. 2021 (RADIAL-RL), section 4 (approach 2).
    """

    actions: Int[Tensor, " batch"]
    gaps: Float[Tensor, "batch actions"]
    objective: Any = field(default=None, init=False)
    lower_only: bool = field(default=False, init=False)

    def value(self, outputs: Float[Tensor, "batch actions"]) -> Float[Tensor, " batch"]:
        return self._overlap(outputs, outputs)

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        return self._overlap(found.lower, found.upper)

    def select(self, index: Tensor) -> RadialOverlap:
        return RadialOverlap(self.actions[index], self.gaps[index])

    def _overlap(self, lower: Tensor, upper: Tensor) -> Tensor:
        taken = lower.gather(1, self.actions.unsqueeze(1))
        return (self.gaps * (upper - taken + self.gaps / 2).clamp(min=0)).sum(1)


@dataclass(frozen=True, slots=True, eq=False)
class WorstSurrogate:
    """PPO's clipped surrogate of the action taken, as a loss: highest where the action gets unlikely and was good, or likely
    and was bad.

    Args:
        actions: taken, shape (batch, coordinates).
        deviations: sigma, shape (batch, coordinates), > 0.
        advantages: of the actions, shape (batch,).
        log_old: log-probability of the actions when they were taken, shape (batch,).
        clip: range of the ratio of probabilities around 1.

    Source: Oikarinen et al. 2021 (RADIAL-RL), section 4.2.
    """

    actions: Float[Tensor, "batch coordinates"]
    deviations: Float[Tensor, "batch coordinates"]
    advantages: Float[Tensor, " batch"]
    log_old: Float[Tensor, " batch"]
    clip: float
    objective: Any = field(default=None, init=False)
    lower_only: bool = field(default=False, init=False)

    def value(self, outputs: Float[Tensor, "batch coordinates"]) -> Float[Tensor, " batch"]:
        return self._loss((self.actions - outputs).abs())

    def above(self, found: Bounds) -> Float[Tensor, " batch"]:
        nearest = torch.maximum(found.lower - self.actions, self.actions - found.upper).clamp(min=0)
        good = (self.advantages > 0).unsqueeze(1)
        return self._loss(torch.where(good, _farthest(found, self.actions), nearest))

    def select(self, index: Tensor) -> WorstSurrogate:
        return WorstSurrogate(
            self.actions[index],
            self.deviations[index],
            self.advantages[index],
            self.log_old[index],
            clip=self.clip,
        )

    def _loss(self, distance: Tensor) -> Tensor:
        each = -0.5 * (distance / self.deviations).square() - self.deviations.log()
        log_probability = each.sum(1) - distance.shape[1] * _HALF_LOG_TWO_PI
        ratio = (log_probability - self.log_old).exp()
        held = ratio.clamp(1 - self.clip, 1 + self.clip)
        return -torch.minimum(self.advantages * ratio, self.advantages * held)


def _farthest(found: Bounds, point: Tensor) -> Tensor:
    """Give the largest distance of a number between the bounds to a point."""
    return torch.maximum(found.upper - point, point - found.lower)
