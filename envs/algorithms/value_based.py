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

from robustsuite.arguments import check_flags, check_kind, check_number, described
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Region

from ..policies import QFunction
from ..regularizers import Quantity
from ..training.replay import Prioritized, PrioritizedReplayBuffer, PrioritizedSamples
from ..training.robustness import Robustness
from .dueling import DUELING
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

    Targets and exploration use clean observations. Learning takes one torch thread (see `learn`).

    Args:
        policy, env: as for `stable_baselines3.DQN`; `env` may also be a gymnasium id.
        robustness: what is added to DQN; the default adds nothing. See `Robustness`.
        double: whether the online network chooses the action whose target value counts. Source: van Hasselt et al. 2016.
        dueling: whether the last hidden layer splits into a value and advantages. See `policies.networks.Dueling`.
        prioritized: how replay goes by priorities; None: uniformly. See `Prioritized`.
        dqn: keywords of `stable_baselines3.DQN`, by name.

    Raises:
        InvalidInput: see `Robust`; or prioritised replay with n_steps, a Dict of observations or a buffer of its own.
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
        *("max_grad_norm", "double", "dueling"),
    )
    VALUES: ClassVar[tuple[str, ...]] = (*Replaying.VALUES, "prioritized")
    COUNTERS: ClassVar[tuple[str, ...]] = (*Replaying.COUNTERS, "_n_calls", "exploration_rate")

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: Any,
        *,
        robustness: Robustness | None = None,
        double: bool = False,
        dueling: bool = False,
        prioritized: Prioritized | None = None,
        **dqn: Any,
    ) -> None:
        self.double, self.dueling, self.prioritized = double, dueling, prioritized
        check_flags(self, "double", "dueling")
        if prioritized is not None:
            check_kind(prioritized, Prioritized, "prioritized", "a Prioritized(alpha=0.5)")
            dqn = self._with_priorities(prioritized, dqn)
        if dueling:
            if not isinstance(policy, str) or policy not in self.POLICIES:
                raise InvalidInput(
                    f"policy is {described(policy)} with dueling=True; expected a name: {', '.join(DUELING)}"
                )
            policy = DUELING[policy]
        super().__init__(policy, env, robustness=robustness, **dqn)

    @staticmethod
    def _with_priorities(prioritized: Prioritized, dqn: Mapping[str, Any]) -> dict[str, Any]:
        for name, plain in (("n_steps", 1), ("replay_buffer_class", None), ("optimize_memory_usage", False)):
            if dqn.get(name, plain) != plain:
                raise InvalidInput(
                    f"{name} is {described(dqn[name])} with prioritized replay; expected {plain}"
                )
        own = {"alpha": prioritized.alpha, "floor": prioritized.floor}
        return {**dqn, "replay_buffer_class": PrioritizedReplayBuffer, "replay_buffer_kwargs": own}

    @property
    def policy_name(self) -> str | None:
        """The name by which the policy is asked for; None: it has none."""
        own = {kind: name for name, kind in (DUELING if self.dueling else self.POLICIES).items()}
        return own.get(self.policy_class)

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
            data = self._sample(batch_size)
            batch = self._batch(data)
            td = self._td(batch)
            terms = [self.finite(td, "TD loss")] * 2  # before the worst case, which may attack the network
            loss = td
            if perturbation is not None:
                worst = self.worst(batch, perturbation.around(batch.states), share)
                loss = self.total(td, worst)
                terms = [self.finite(loss, "loss"), terms[1], self.finite(worst, "worst case")]
            totals[: len(terms)] += terms
            if isinstance(data, PrioritizedSamples):
                assert isinstance(self.replay_buffer, PrioritizedReplayBuffer)
                errors = (batch.taken.detach() - batch.targets).cpu().numpy()
                self.replay_buffer.update(data.places, errors)
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

    def _sample(self, batch_size: int) -> Any:
        if self.prioritized is None:
            assert self.replay_buffer is not None
            return self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
        assert isinstance(self.replay_buffer, PrioritizedReplayBuffer)
        beta = self.prioritized.beta(self.num_timesteps)
        return self.replay_buffer.sample(batch_size, env=self._vec_normalize_env, beta=beta)

    def _batch(self, data: Any) -> Batch:
        discounts = data.discounts if data.discounts is not None else self.gamma
        with torch.no_grad():
            next_values = self.q_net_target(data.next_observations)
            if self.double:
                chosen = self.q_net(data.next_observations).argmax(1, keepdim=True)
                next_values = next_values.gather(1, chosen)
            else:
                next_values = next_values.amax(1, keepdim=True)
            targets = data.rewards + (1 - data.dones) * discounts * next_values
        shown = data.observations
        if isinstance(shown, dict):
            states, values = next(iter(shown.values())), self.q_net(shown)
        else:
            states = shown.float() / self._input_scale if self._input_scale != 1 else shown.float()
            values = self.q_function(states)
        return Batch(
            states=states,
            actions=data.actions.long().squeeze(1),
            targets=targets.squeeze(1),
            values=values,
            weights=data.weights if isinstance(data, PrioritizedSamples) else None,
        )

    def _td(self, batch: Batch) -> Float[Tensor, ""]:
        if batch.weights is None:
            return functional.smooth_l1_loss(batch.taken, batch.targets)
        return batch.mean(functional.smooth_l1_loss(batch.taken, batch.targets, reduction="none"))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "q_function"]


class MixedLoss(ValueBased):
    """Algorithms whose worst case takes the place of a part of the TD loss: ``(1 - kappa) TD + kappa worst``.

    Raises:
        InvalidInput: see `ValueBased`; or kappa above 1.
    """

    def _setup_model(self) -> None:
        check_number("kappa", self.robustness.kappa, least=0, most=1)
        super()._setup_model()

    def total(self, td: Float[Tensor, ""], worst: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """See `ValueBased.total`."""
        return (1 - self.robustness.kappa) * td + self.robustness.kappa * worst
