"""TD3 with an actor whose loss looks at the worst case: what SA-TD3 and SA-DDPG share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import polyak_update
from stable_baselines3.td3.policies import CnnPolicy, MlpPolicy, MultiInputPolicy
from torch import nn
from torch.nn import functional

from robustsuite.arguments import check_kind

from ..policies import Deterministic
from ..regularizers import ActionShift
from .actor_critic import ActorCritic
from .exploration import Exploration, GaussianNoise, OrnsteinUhlenbeckNoise
from .robust import Replaying


class RobustTD3(ActorCritic, Replaying, TD3):
    """stable-baselines3's TD3 (or DDPG) with a regulariser in the actor's loss; the critic uses clean observations.

    With kappa 0, and while the radius is 0, it is the parent to the bit.

    Args:
        policy, env: as for the parent; `env` may also be a gymnasium id.
        robustness: what is added. See `Robustness`.
        critic_learning_rate: see `ActorCritic`.
        action_noise: `GaussianNoise()`, `OrnsteinUhlenbeckNoise()`, an action noise of stable-baselines3 (which cannot be
            saved without a pickle), or None.
        settings: keywords of the parent, by name.
    """

    POLICIES: ClassVar[Mapping[str, type[BasePolicy]]] = {
        "MlpPolicy": MlpPolicy,
        "CnnPolicy": CnnPolicy,
        "MultiInputPolicy": MultiInputPolicy,
    }
    VALUES: ClassVar[tuple[str, ...]] = (*ActorCritic.VALUES, "action_noise")

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: Any,
        *,
        action_noise: Exploration | ActionNoise | None = None,
        **settings: Any,
    ) -> None:
        kinds = (GaussianNoise, OrnsteinUhlenbeckNoise, ActionNoise, type(None))
        check_kind(action_noise, kinds, "action_noise", "GaussianNoise(), OrnsteinUhlenbeckNoise() or None")
        self.exploration = action_noise
        own = action_noise if isinstance(action_noise, ActionNoise) else None
        super().__init__(policy, env, action_noise=own, **settings)

    def _setup_model(self) -> None:
        super()._setup_model()
        if isinstance(self.exploration, GaussianNoise | OrnsteinUhlenbeckNoise):
            assert self.action_space.shape is not None
            self.action_noise = self.exploration.build(int(np.prod(self.action_space.shape)))
        self.view = Deterministic(self.actor.mu)

    def _extractor(self) -> nn.Module:
        return self.actor.features_extractor

    def setting(self, name: str) -> Any:
        return self.exploration if name == "action_noise" else super().setting(name)

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        if self.critic_learning_rate is not None:
            for group in self.critic.optimizer.param_groups:
                group["lr"] = self.critic_rate
            self.logger.record("train/critic_learning_rate", self.critic_rate)

    def train(self, gradient_steps: int, batch_size: int = 100) -> None:
        """Sample the replay buffer and take gradient steps. Called by `learn`."""
        assert self.replay_buffer is not None
        share = self.radius_share if self.robustness.kappa > 0 else 0.0
        if share == 0:
            super().train(gradient_steps, batch_size)
            for name in ("train/critic_loss", "train/actor_loss"):
                self.finite(float(self.logger.name_to_value.get(name, 0.0)), name.removeprefix("train/"))
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate([self.actor.optimizer, self.critic.optimizer])
        perturbation = self.robustness.perturbation.scaled(share)
        seen: dict[str, list[float]] = {"critic loss": [], "actor loss": [], "regulariser": []}
        for _ in range(gradient_steps):
            self._n_updates += 1
            data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            seen["critic loss"].append(self._critic_step(data))
            if self._n_updates % self.policy_delay:
                continue
            states = data.observations.float()  # as the policy's own preprocessing does
            actions = self.actor.mu(states)
            value = self.critic.q1_forward(data.observations, actions).mean()
            seen["actor loss"].append(self.finite(-value, "actor loss"))
            shift = self.solve(ActionShift(actions), perturbation.around(states), share).mean()
            seen["regulariser"].append(self.finite(shift, "regulariser"))
            self.actor.optimizer.zero_grad()
            (self.robustness.kappa * shift - value).backward()
            self.actor.optimizer.step()
            polyak_update(self.critic.parameters(), self.critic_target.parameters(), self.tau)
            polyak_update(self.actor.parameters(), self.actor_target.parameters(), self.tau)
            polyak_update(self.critic_batch_norm_stats, self.critic_batch_norm_stats_target, 1.0)
            polyak_update(self.actor_batch_norm_stats, self.actor_batch_norm_stats_target, 1.0)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/radius_share", share)
        for name, values in seen.items():
            if values:
                self.logger.record(f"train/{name.replace(' ', '_')}", float(np.mean(values)))

    def _critic_step(self, data: Any) -> float:
        """Take a step of the critics on the transitions, toward the lower of the target critics; give the loss."""
        discounts = self.gamma if data.discounts is None else data.discounts
        with torch.no_grad():
            noise = torch.empty_like(data.actions).normal_(0, self.target_policy_noise)
            noise = noise.clamp(-self.target_noise_clip, self.target_noise_clip)
            following = (self.actor_target(data.next_observations) + noise).clamp(-1, 1)
            worth = torch.cat(self.critic_target(data.next_observations, following), 1).amin(1, keepdim=True)
            target = data.rewards + (1 - data.dones) * discounts * worth
        guesses = self.critic(data.observations, data.actions)
        loss = torch.stack([functional.mse_loss(guess, target) for guess in guesses]).sum()
        value = self.finite(loss, "critic loss")
        self.critic.optimizer.zero_grad()
        loss.backward()
        self.critic.optimizer.step()
        return value

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "exploration"]
