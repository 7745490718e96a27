"""PPO with an actor's loss that looks at the worst case: what SA-PPO and RADIAL-PPO share.

An algorithm of this family is one file: a class with `actor_loss`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3 import PPO
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    BasePolicy,
    MultiInputActorCriticPolicy,
)
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor, nn
from torch.nn import functional

from robustsuite.errors import InvalidInput, TrainingDiverged
from robustsuite.perturbations import Perturbation, Region

from ..policies import Gaussian
from .actor_critic import ActorCritic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """What the actor's loss of a minibatch is made of.

    Args:
        actions: taken, shape (batch, coordinates).
        means, deviations: of the present policy, with gradient.
        advantages: normalised as PPO does, shape (batch,).
        log_old: log-probability of the actions when they were taken, shape (batch,).
        clip: range of the ratio of probabilities around 1.
        nominal: PPO's clipped surrogate as a loss.
    """

    actions: Float[Tensor, "batch coordinates"]
    means: Float[Tensor, "batch coordinates"]
    deviations: Float[Tensor, "batch coordinates"]
    advantages: Float[Tensor, " batch"]
    log_old: Float[Tensor, " batch"]
    clip: float
    nominal: Float[Tensor, ""]


class RobustPPO(ActorCritic, PPO):
    """stable-baselines3's PPO with another loss of the actor. Rollouts and the critic use clean observations.

    With kappa 0, and while the radius is 0, it is the parent to the bit.

    Args:
        policy, env: as for `stable_baselines3.PPO`; `env` may also be a gymnasium id. In a VecNormalize the ball counts in
            normalised units, around what the policy sees.
        robustness: what is added. See `Robustness`.
        critic_learning_rate: see `ActorCritic`.
        settings: keywords of `stable_baselines3.PPO`, by name. ``max_grad_norm=math.inf`` clips no gradient.
    """

    POLICIES: ClassVar[Mapping[str, type[BasePolicy]]] = {
        "MlpPolicy": ActorCriticPolicy,
        "CnnPolicy": ActorCriticCnnPolicy,
        "MultiInputPolicy": MultiInputActorCriticPolicy,
    }
    RANGES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **ActorCritic.RANGES,
        "n_steps": {"integer": True, "least": 1},
        "batch_size": {"integer": True, "least": 1},
        "n_epochs": {"integer": True, "least": 1},
        "gae_lambda": {"least": 0, "most": 1},
        "ent_coef": {"least": 0},
        "vf_coef": {"least": 0},
        "max_grad_norm": {"above": 0, "endless": True},
        "target_kl": {"above": 0, "optional": True},
    }
    SETTINGS: ClassVar[tuple[str, ...]] = (
        *ActorCritic.SETTINGS,
        *("n_steps", "batch_size", "n_epochs", "gae_lambda", "ent_coef", "vf_coef", "max_grad_norm"),
        *("target_kl", "normalize_advantage", "use_sde", "sde_sample_freq"),
    )
    VALUES: ClassVar[tuple[str, ...]] = (*ActorCritic.VALUES, "clip_range", "clip_range_vf")

    @abstractmethod
    def actor_loss(
        self, part: Surrogate, region: Region, share: float
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Give the actor's loss of a minibatch, without its entropy, and terms of it by name.

        Args:
            part: what PPO's own loss is made of.
            region: B(s) of the minibatch at the present radius.
            share: the radius as a share of its final value, in (0, 1].
        """

    def _setup_model(self) -> None:
        super()._setup_model()
        extractor = self.policy.mlp_extractor
        if self.critic_learning_rate is not None:
            # A group of its own, in the same order for every agent, so that the optimiser's state fits.
            critic = [*extractor.value_net.parameters(), *self.policy.value_net.parameters()]
            owned = {id(parameter) for parameter in critic}
            actor = [parameter for parameter in self.policy.parameters() if id(parameter) not in owned]
            groups: Any = [{"params": actor}, {"params": critic}]
            make: Any = self.policy.optimizer_class
            self.policy.optimizer = make(groups, lr=self.lr_schedule(1.0), **self.policy.optimizer_kwargs)
        if self.robustness.kappa > 0:
            if self.use_sde:
                raise InvalidInput("use_sde is True; expected False: the deviation then depends on the state")
            mean = nn.Sequential(extractor.policy_net, self.policy.action_net)
            self.view = Gaussian(mean, self.policy.log_std)

    def _extractor(self) -> nn.Module:
        return self.policy.features_extractor

    def _update_learning_rate(self, optimizers: Any) -> None:
        super()._update_learning_rate(optimizers)
        if self.critic_learning_rate is not None:
            self.policy.optimizer.param_groups[1]["lr"] = self.critic_rate
            self.logger.record("train/critic_learning_rate", self.critic_rate)

    def collect_rollouts(self, *args: Any, **options: Any) -> bool:
        """Collect experiences as the parent does. Called by `learn`."""
        with self._named():
            return super().collect_rollouts(*args, **options)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say what is not finite in place of torch's words on the parameters of a distribution.

        Raises:
            TrainingDiverged: the policy's Gaussian has no mean or no deviation.
        """
        try:
            yield
        except ValueError as error:
            if "of distribution Normal" not in str(error):
                raise
            self.finite_weights()
            raise TrainingDiverged(
                f"the policy's mean is not finite at timestep {self.num_timesteps}; expected finite numbers: look for NaN in "
                "observations"
            ) from error

    def train(self) -> None:
        """Take the minibatches of the rollout. Called by `learn`."""
        with self._named():
            self._train()

    def _train(self) -> None:
        self.all_finite(self.rollout_buffer.rewards, "reward")
        share = self.radius_share if self.robustness.kappa > 0 else 0.0
        if share == 0:
            super().train()
            self.finite_weights()
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        remaining = self._current_progress_remaining
        clip = float(self.clip_range(remaining))  # type: ignore[operator]
        clip_values = None if self.clip_range_vf is None else float(self.clip_range_vf(remaining))  # type: ignore[operator]
        perturbation = self.robustness.perturbation.scaled(share)
        seen: list[dict[str, float]] = []
        too_far = False
        for _ in range(self.n_epochs):
            for data in self.rollout_buffer.get(self.batch_size):
                loss, terms, divergence = self._losses(data, perturbation, share, clip, clip_values)
                seen.append({name: self.finite(term, name) for name, term in terms.items()})
                too_far = self.target_kl is not None and divergence > 1.5 * self.target_kl
                if too_far:
                    break
                self.policy.optimizer.zero_grad()
                loss.backward()
                if not math.isinf(self.max_grad_norm):
                    nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
            self._n_updates += 1
            if too_far:
                break
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/radius_share", share)
        self.logger.record("train/std", float(self.policy.log_std.detach().exp().mean()))
        for name in seen[0]:
            key = name.replace(" ", "_")
            self.logger.record(f"train/{key}", float(np.mean([terms[name] for terms in seen])))

    def _losses(
        self,
        data: RolloutBufferSamples,
        perturbation: Perturbation,
        share: float,
        clip: float,
        clip_values: float | None,
    ) -> tuple[Tensor, dict[str, Tensor], float]:
        """Give the loss of a minibatch, its terms, and how far the policy has gone from that of the rollout."""
        values, log_probability, entropy = self.policy.evaluate_actions(data.observations, data.actions)
        advantages = data.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        nominal = clipped_loss(log_probability, data.old_log_prob, advantages, clip).mean()
        self.finite(nominal, "policy loss")  # before the worst case, which may attack the network
        gaussian: Any = self.policy.action_dist.distribution  # of the call above
        part = Surrogate(
            actions=data.actions,
            means=gaussian.mean,
            deviations=gaussian.stddev,
            advantages=advantages,
            log_old=data.old_log_prob,
            clip=clip,
            nominal=nominal,
        )
        states = data.observations.float()  # as the policy's own preprocessing does
        actor, terms = self.actor_loss(part, perturbation.around(states), share)
        predicted = values.flatten()
        if clip_values is not None:
            predicted = data.old_values + (predicted - data.old_values).clamp(-clip_values, clip_values)
        value_loss = functional.mse_loss(data.returns, predicted)
        entropy_loss = -log_probability.mean() if entropy is None else -entropy.mean()
        loss = actor + self.ent_coef * entropy_loss + self.vf_coef * value_loss
        with torch.no_grad():
            moved = log_probability - data.old_log_prob
            divergence = float((moved.exp() - 1 - moved).mean())
        return loss, {"policy loss": nominal, **terms, "value loss": value_loss, "loss": loss}, divergence


def clipped_loss(
    log_probability: Float[Tensor, " batch"],
    log_old: Float[Tensor, " batch"],
    advantages: Float[Tensor, " batch"],
    clip: float,
) -> Float[Tensor, " batch"]:
    """Give the clipped surrogate of each transition, as a loss. Source: Schulman et al. 2017 (PPO), equation 7."""
    ratio = (log_probability - log_old).exp()
    return -torch.minimum(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip))
