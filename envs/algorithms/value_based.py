"""DQN whose loss is a function of the batch: what SA-DQN, CAR-DQN, RADIAL-DQN and plain DQN share.

An algorithm of this family is one file: a class with `worst`, the worst-case part of the loss, and `total`, how it is put
together with the temporal-difference loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Int
from stable_baselines3 import DQN
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.dqn.policies import CnnPolicy, MlpPolicy, MultiInputPolicy
from torch import Tensor, nn
from torch.nn import functional

from robustsuite.perturbations import Region

from ..policies import QFunction
from ..regularizers import Quantity
from .robust import Replaying


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Transitions as the loss sees them.

    Args:
        states: true ones, as the network eats them.
        actions: taken there, shape (batch,).
        targets: y, without gradient, shape (batch,).
        values: Q of all actions at the true states, with gradient, shape (batch, actions).
        weights: of importance (prioritised replay), shape (batch,); None: all are 1.
    """

    states: Float[Tensor, "batch *state"]
    actions: Int[Tensor, " batch"]
    targets: Float[Tensor, " batch"]
    values: Float[Tensor, "batch actions"]
    weights: Float[Tensor, " batch"] | None = None

    @property
    def taken(self) -> Float[Tensor, " batch"]:
        """Give the values of the actions taken."""
        return self.values.gather(1, self.actions.unsqueeze(1)).squeeze(1)

    def mean(self, each: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Give the mean over transitions by their weights of importance."""
        return (each if self.weights is None else self.weights * each).mean()


class ValueBased(Replaying, DQN):
    """stable-baselines3's DQN with a loss of TD error and worst case. See `Batch`, `worst`, `total`.

    Targets and exploration use clean observations.
    """

    DISCRETE: ClassVar[bool] = True
    POLICIES: ClassVar[Mapping[str, type[BasePolicy]]] = {
        "MlpPolicy": MlpPolicy,
        "CnnPolicy": CnnPolicy,
        "MultiInputPolicy": MultiInputPolicy,
    }
    RANGES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Replaying.RANGES,
        "target_update_interval": {"integer": True, "least": 1},
        "exploration_fraction": {"above": 0, "most": 1},
        "exploration_initial_eps": {"least": 0, "most": 1},
        "exploration_final_eps": {"least": 0, "most": 1},
        "max_grad_norm": {"above": 0, "endless": True},
    }
    SETTINGS: ClassVar[tuple[str, ...]] = (
        *Replaying.SETTINGS,
        *(
            "target_update_interval",
            "exploration_initial_eps",
            "exploration_final_eps",
            "exploration_fraction",
        ),
        "max_grad_norm",
    )
    COUNTERS: ClassVar[tuple[str, ...]] = (*Replaying.COUNTERS, "_n_calls", "exploration_rate")

    @abstractmethod
    def worst(self, batch: Batch, region: Any, share: float) -> Float[Tensor, ""]:
        """Give the worst-case part of the loss.

        Args:
            batch: of transitions.
            region: B(s) of the batch at the present radius.
            share: the radius as a share of its final value, in (0, 1].
        """

    def total(self, td: Float[Tensor, ""], worst: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Put the loss together; with kappa 0 the worst case is not asked for."""
        return td + self.robustness.kappa * worst

    def solve(self, quantity: Quantity, region: Region, share: float) -> Float[Tensor, " batch"]:
        """Give the largest value of a quantity at each state, by the regulariser of the algorithm's `Robustness`."""
        return self.robustness.regularizer.worst(
            self.q_function, quantity, region, ramp=share, generator=self.adversary_generator
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        space = self.observation_space
        self._input_scale = 255.0 if is_image_space(space) and self.policy.normalize_images else 1.0
        assert isinstance(self.action_space, spaces.Discrete)
        self.q_function = QFunction(
            nn.Sequential(self.q_net.features_extractor, self.q_net.q_net), int(self.action_space.n)
        )

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Sample the replay buffer and take gradient steps. Called by `learn`."""
        assert self.replay_buffer is not None
        share = self.radius_share if self.robustness.kappa > 0 else 0.0
        perturbation = self.robustness.perturbation.scaled(share) if share > 0 else None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        totals = np.zeros(3)
        for _ in range(gradient_steps):
            data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            batch = self._batch(data)
            td = self._td(batch)
            terms = [self.finite(td, "TD loss")] * 2  # before the worst case, which may attack the network
            loss = td
            if perturbation is not None:
                worst = self.worst(batch, perturbation.around(batch.states), share)
                loss = self.total(td, worst)
                terms = [self.finite(loss, "loss"), terms[1], self.finite(worst, "worst case")]
            totals[: len(terms)] += terms
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()

        self._n_updates += gradient_steps
        total, td_mean, worst_mean = totals / max(gradient_steps, 1)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", total)
        if self.robustness.kappa > 0:
            self.logger.record("train/td_loss", td_mean)
            self.logger.record("train/worst_case", worst_mean)
            self.logger.record("train/radius_share", share)

    def _batch(self, data: Any) -> Batch:
        discounts = data.discounts if data.discounts is not None else self.gamma
        with torch.no_grad():
            next_values = self.q_net_target(data.next_observations).amax(1, keepdim=True)
            targets = data.rewards + (1 - data.dones) * discounts * next_values
        shown = data.observations
        if isinstance(shown, dict):
            states, values = next(iter(shown.values())), self.q_net(shown)
        else:
            states = shown.float() / self._input_scale if self._input_scale != 1 else shown.float()
            values = self.q_function(states)
        return Batch(
            states=states, actions=data.actions.long().squeeze(1), targets=targets.squeeze(1), values=values
        )

    def _td(self, batch: Batch) -> Float[Tensor, ""]:
        if batch.weights is None:
            return functional.smooth_l1_loss(batch.taken, batch.targets)
        return batch.mean(functional.smooth_l1_loss(batch.taken, batch.targets, reduction="none"))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "q_function"]
