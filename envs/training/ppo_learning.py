"""PPO's hyper-parameters as one value, and the agent that they make."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robustsuite.arguments import check_fields, check_numbers
from robustsuite.errors import InvalidInput

from .learning import FallingRate
from .robustness import Robustness

if TYPE_CHECKING:
    from ..algorithms.robust_ppo import RobustPPO


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOLearning:
    """Hyper-parameters of a PPO training. Counts are transitions, whatever the number of environments.

    Observations and rewards are normalised by running moments; actor and critic are networks of their own with tanh.

    Args:
        timesteps: of the whole training, >= 1.
        environments: stepped side by side in one process, >= 1.
        hidden: widths of the hidden layers of actor and critic, each >= 1.
        actor_rate, critic_rate: of Adam at the start, > 0; times the remaining share of the training to the power `decay`.
        decay: see `actor_rate`, >= 0; 0 keeps the rates as they are.
        collect: transitions between two rounds of updates, a multiple of `environments`.
        batch_size: transitions per update, >= 2.
        epochs: rounds over the collected transitions, >= 1.
        clip: range of the ratio of probabilities around 1, > 0.
        value_clip: how far a value may move in a round, > 0; None: no limit.
        entropy: weight of the entropy, >= 0.
        gae_lambda, gamma: of the advantages, in [0, 1].
        initial_std: of the actions, > 0.

    Raises:
        InvalidInput: `collect` is not a multiple of `environments`, or a number is outside its range.

    Source: Zhang et al. 2020 (SA-MDP), appendix, and the authors' configuration for Hopper.
    """

    timesteps: int = 976 * 2048
    environments: int = 4
    hidden: tuple[int, ...] = (64, 64)
    actor_rate: float = 3e-4
    critic_rate: float = 2.5e-4
    decay: float = 1.0
    collect: int = 2048
    batch_size: int = 64
    epochs: int = 10
    clip: float = 0.2
    value_clip: float | None = None
    entropy: float = 0.0
    gae_lambda: float = 0.95
    gamma: float = 0.99
    initial_std: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, "timesteps", "environments", "collect", "epochs", integer=True, least=1)
        check_fields(self, "batch_size", integer=True, least=2)
        check_fields(self, "actor_rate", "critic_rate", "clip", "initial_std", above=0)
        check_fields(self, "value_clip", above=0, optional=True)
        check_fields(self, "decay", "entropy", least=0)
        check_fields(self, "gae_lambda", "gamma", least=0, most=1)
        check_numbers("hidden", self.hidden, integer=True, least=1)
        if self.collect % self.environments:
            raise InvalidInput(
                f"collect is {self.collect} with {self.environments} environments; expected a multiple of it"
            )

    def build(self, environment: str, *, robustness: Robustness, seed: int, device: str = "cpu") -> RobustPPO:
        """Make a fresh agent on fresh environments; with kappa 0 it is plain PPO."""
        from stable_baselines3.common.vec_env import VecNormalize

        from .. import environments

        many = environments.make_many(environment, self.environments, seed=seed)
        return self._algorithm()(
            "MlpPolicy",
            VecNormalize(many, gamma=self.gamma),
            robustness=robustness,
            learning_rate=FallingRate(self.actor_rate, self.decay, lowest=0.0),
            critic_learning_rate=FallingRate(self.critic_rate, self.decay, lowest=0.0),
            n_steps=self.collect // self.environments,
            batch_size=self.batch_size,
            n_epochs=self.epochs,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
            clip_range=self.clip,
            clip_range_vf=self.value_clip,
            ent_coef=self.entropy,
            max_grad_norm=math.inf,
            policy_kwargs={
                "net_arch": {"pi": list(self.hidden), "vf": list(self.hidden)},
                "log_std_init": math.log(self.initial_std),
                # One kernel for all parameters: the networks are small.
                "optimizer_kwargs": {"eps": 1e-5, "fused": True},
            },
            seed=seed,
            device=device,
        )

    def _algorithm(self) -> type[RobustPPO]:
        from ..algorithms.sa_ppo import SAPPO

        return SAPPO


@dataclass(frozen=True, slots=True, kw_only=True)
class RADIALPPOLearning(PPOLearning):
    """Hyper-parameters of a RADIAL-PPO training. See `PPOLearning`; kappa of the robustness lies in [0, 1]."""

    def _algorithm(self) -> type[RobustPPO]:
        from ..algorithms.radial_ppo import RADIALPPO

        return RADIALPPO
