"""SA-DQN: stable-baselines3's DQN with the state-adversarial regulariser."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import seeding
from robustsuite.errors import InvalidInput, TrainingDiverged

from .q_function import QFunction
from .robustness import Robustness


class SADQN(DQN):
    """Deep Q-learning that keeps its greedy action when the observation moves inside a ball.

    ``L = huber TD loss + kappa * mean_i max( max over s^ in B(s_i), a != a* of Q(s^,a) - Q(s^,a*), -c )``, with a* the
    greedy action of the current network at the clean s_i. Targets and exploration use clean observations.

    Source: Zhang et al. 2020 (SA-MDP), section 3.4, equation (10).

    Note:
        The hinge is per sample (the reference's PGD form clamps the batch's sum once). Replay is uniform, as in the
        parent, so there are no importance weights.

    Args:
        policy, env: as for `stable_baselines3.DQN`.
        robustness: what is added to DQN; the default adds nothing. See `Robustness`.
        dqn: keywords of `stable_baselines3.DQN`, by name.

    Raises:
        InvalidInput: the observations are neither vectors nor images.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import SADQN
        >>> from robustsuite.envs.robustness import Robustness
        >>> robustness = Robustness(perturbation=Linf(0.01), kappa=0.5)
        >>> agent = SADQN("MlpPolicy", "CartPole-v1", robustness=robustness, seed=0, device="cpu")
        >>> agent = agent.learn(200)
    """

    _GENERATOR: ClassVar[str] = "sa-dqn"

    def __init__(
        self,
        policy: str | type[DQNPolicy],
        env: Any,
        *,
        robustness: Robustness | None = None,
        **dqn: Any,
    ) -> None:
        self.robustness = Robustness() if robustness is None else robustness
        super().__init__(policy, env, **dqn)

    def _setup_model(self) -> None:
        super()._setup_model()
        if isinstance(self.observation_space, spaces.Box):
            scale = 255.0 if is_image_space(self.observation_space) else 1.0
            if not self.policy.normalize_images:
                scale = 1.0
        else:
            raise InvalidInput(
                f"observations are {type(self.observation_space).__name__}; expected a Box of vectors or images"
            )
        assert isinstance(self.action_space, spaces.Discrete)
        self._input_scale = scale
        self.q_function = QFunction(
            nn.Sequential(self.q_net.features_extractor, self.q_net.q_net), int(self.action_space.n)
        )
        self.ramp_start = self.robustness.ramp.start
        self.adversary_generator = seeding.generator(self.seed or 0, self._GENERATOR, device=self.device)

    @property
    def radius_share(self) -> float:
        """The present radius as a share of its final value."""
        return self.robustness.ramp.share(1.0 - self._current_progress_remaining, start=self.ramp_start)

    def begin_ramp(self) -> None:
        """Let the radius grow from now on, if it does not yet; it takes as long as planned."""
        self.ramp_start = min(self.ramp_start, 1.0 - self._current_progress_remaining)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Sample the replay buffer and take gradient steps. Called by `learn`."""
        share = self.radius_share
        if self.robustness.kappa == 0 or share == 0:
            super().train(gradient_steps, batch_size)
            return
        assert self.replay_buffer is not None
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        perturbation = self.robustness.perturbation.scaled(share)
        totals = np.zeros(2)
        for _ in range(gradient_steps):
            data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            discounts = data.discounts if data.discounts is not None else self.gamma
            with torch.no_grad():
                next_values = self.q_net_target(data.next_observations).amax(1, keepdim=True)
                target = data.rewards + (1 - data.dones) * discounts * next_values

            states = data.observations.float() / self._input_scale
            values = self.q_function(states)
            td = functional.smooth_l1_loss(values.gather(1, data.actions.long()), target)
            worst = self.robustness.regularizer.worst_margin(
                self.q_function,
                perturbation.around(states),
                values.detach().argmax(1),
                ramp=share,
                generator=self.adversary_generator,
            )
            hinge = worst.clamp(min=-self.robustness.c).mean()
            loss = td + self.robustness.kappa * hinge

            terms = np.array([self._finite(td, "TD loss"), self._finite(hinge, "regulariser")])
            totals += terms
            self.policy.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()

        self._n_updates += gradient_steps
        td_mean, hinge_mean = totals / gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/loss", td_mean + self.robustness.kappa * hinge_mean)
        self.logger.record("train/td_loss", td_mean)
        self.logger.record("train/regularizer", hinge_mean)
        self.logger.record("train/radius_share", share)

    def _finite(self, term: Tensor, name: str) -> float:
        value = float(term.detach())
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"{name} is {value} at timestep {self.num_timesteps}; expected a finite number: "
                "lower learning_rate or kappa"
            )
        return value

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "q_function", "adversary_generator"]
