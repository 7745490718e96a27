"""SA-DDPG: stable-baselines3's DDPG with the state-adversarial regulariser."""

from __future__ import annotations

from typing import ClassVar

from stable_baselines3 import DDPG

from .robust import Replaying
from .robust_td3 import RobustTD3


class SADDPG(RobustTD3, DDPG):
    """Deep deterministic policy gradient whose action moves little when the observation moves inside a ball.

    As `SATD3` with one critic, an actor updated at every step, and no smoothing of targets.

    Source: Zhang et al. 2020 (SA-MDP), section 3.3.

    Args:
        policy, env, robustness, critic_learning_rate, action_noise, settings: see `RobustTD3`.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import SADDPG, Robustness
        >>> robustness = Robustness(perturbation=Linf(0.05), kappa=0.1)
        >>> agent = SADDPG("MlpPolicy", "Pendulum-v1", robustness=robustness, buffer_size=1000, seed=0, device="cpu")
        >>> agent = agent.learn(110)
    """

    KIND: ClassVar[str] = "sa-ddpg"
    # The parent takes all but this one.
    SETTINGS: ClassVar[tuple[str, ...]] = tuple(
        name for name in Replaying.SETTINGS if name != "stats_window_size"
    )
