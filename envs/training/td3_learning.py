"""The hyper-parameters of TD3 and DDPG as values, and the agents that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robustsuite.arguments import check_fields, check_kind, check_numbers

from .robustness import Robustness

if TYPE_CHECKING:
    from ..algorithms.exploration import GaussianNoise, OrnsteinUhlenbeckNoise
    from ..algorithms.robust_td3 import RobustTD3

_SMALL_ENDS = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class TD3Learning:
    """Hyper-parameters of a TD3 training, on observations as they are.

    Args:
        timesteps: of the whole training, >= 1.
        hidden: widths of the hidden layers of actor and critics (ReLU), each >= 1.
        actor_rate, critic_rate: of Adam, > 0.
        batch_size: transitions per update, >= 1.
        buffer_size: transitions kept for replay, >= 1.
        learning_starts: transitions of random actions before the first update, >= 0.
        tau: share of the networks that their targets take over in an update, in (0, 1].
        gamma: discount, in [0, 1].
        noise: std of the independent noise on actions in [-1, 1], >= 0.

    Raises:
        InvalidInput: a number outside its range.

    Source: the defaults are those of Fujimoto et al. 2018 (TD3), appendix C, with a smaller warm-up.
    """

    timesteps: int = 1_000_000
    hidden: tuple[int, ...] = (400, 300)
    actor_rate: float = 1e-3
    critic_rate: float = 1e-3
    batch_size: int = 256
    buffer_size: int = 1_000_000
    learning_starts: int = 10_000
    tau: float = 0.005
    gamma: float = 0.99
    noise: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "timesteps", "batch_size", "buffer_size", integer=True, least=1)
        check_fields(self, "learning_starts", integer=True, least=0)
        check_fields(self, "actor_rate", "critic_rate", "tau", above=0)
        check_fields(self, "tau", "gamma", least=0, most=1)
        check_fields(self, "noise", least=0)
        check_numbers("hidden", self.hidden, integer=True, least=1)

    def build(self, environment: str, *, robustness: Robustness, seed: int, device: str = "cpu") -> RobustTD3:
        """Make a fresh agent on a fresh environment; with kappa 0 it is the plain algorithm."""
        from ..algorithms.exploration import GaussianNoise
        from ..algorithms.sa_td3 import SATD3

        return _made(
            SATD3,
            self,
            environment,
            GaussianNoise(std=self.noise),
            robustness=robustness,
            seed=seed,
            device=device,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DDPGLearning:
    """Hyper-parameters of a DDPG training, on observations as they are; noise on actions is that of Ornstein and Uhlenbeck.

    Args:
        timesteps, hidden, actor_rate, critic_rate, batch_size, buffer_size, learning_starts, tau, gamma: see `TD3Learning`.

    Raises:
        InvalidInput: a number outside its range.

    Source: Zhang et al. 2020 (SA-MDP), the authors' configuration; their last layers begin orthogonal with scale 1e-3.
    """

    timesteps: int = 2_000_000
    hidden: tuple[int, ...] = (400, 300)
    actor_rate: float = 1e-4
    critic_rate: float = 1e-3
    batch_size: int = 64
    buffer_size: int = 1_000_000
    learning_starts: int = 10_000
    tau: float = 0.001
    gamma: float = 0.99

    def __post_init__(self) -> None:
        check_fields(self, "timesteps", "batch_size", "buffer_size", integer=True, least=1)
        check_fields(self, "learning_starts", integer=True, least=0)
        check_fields(self, "actor_rate", "critic_rate", "tau", above=0)
        check_fields(self, "tau", "gamma", least=0, most=1)
        check_numbers("hidden", self.hidden, integer=True, least=1)

    def build(self, environment: str, *, robustness: Robustness, seed: int, device: str = "cpu") -> RobustTD3:
        """Make a fresh agent on a fresh environment; with kappa 0 it is the plain algorithm."""
        import torch
        from torch import nn

        from ..algorithms.exploration import OrnsteinUhlenbeckNoise
        from ..algorithms.sa_ddpg import SADDPG

        agent = _made(
            SADDPG,
            self,
            environment,
            OrnsteinUhlenbeckNoise(),
            robustness=robustness,
            seed=seed,
            device=device,
        )
        with torch.no_grad():
            for network in (agent.actor.mu, agent.critic.q_networks[0]):
                last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
                nn.init.orthogonal_(last.weight, _SMALL_ENDS)
                nn.init.zeros_(last.bias)
        agent.actor_target.load_state_dict(agent.actor.state_dict())
        agent.critic_target.load_state_dict(agent.critic.state_dict())
        return agent


def _made(
    algorithm: type[RobustTD3],
    learning: TD3Learning | DDPGLearning,
    environment: str,
    noise: GaussianNoise | OrnsteinUhlenbeckNoise,
    **settings: Any,
) -> RobustTD3:
    from .. import environments

    check_kind(environment, str, "environment", "a gymnasium id")
    return algorithm(
        "MlpPolicy",
        environments.make_many(environment, 1, seed=settings["seed"]),
        learning_rate=learning.actor_rate,
        critic_learning_rate=learning.critic_rate,
        batch_size=learning.batch_size,
        buffer_size=learning.buffer_size,
        learning_starts=learning.learning_starts,
        tau=learning.tau,
        gamma=learning.gamma,
        train_freq=1,
        gradient_steps=1,
        action_noise=noise,
        policy_kwargs={"net_arch": list(learning.hidden)},
        **settings,
    )
