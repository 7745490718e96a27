"""SA-TD3: stable-baselines3's TD3 with the state-adversarial regulariser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .robust import Replaying
from .robust_td3 import RobustTD3


class SATD3(RobustTD3):
    """Twin delayed deterministic policy gradient whose action moves little when the observation moves inside a ball.

    Actor: ``L = -mean_i Q(s_i, mu(s_i)) + kappa * mean_i max over s^ in B(s_i) of mean_j (mu_j(s^) - mu_j(s_i))^2``, with mu
    the squashed action in [-1, 1], so that kappa does not depend on the actions' units. A gradient flows through mu(s_i) too.

    Source: Zhang et al. 2020 (SA-MDP), section 3.3, on Fujimoto et al. 2018 (TD3).

    Args:
        policy, env, robustness, critic_learning_rate, action_noise, settings: see `RobustTD3`.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import SATD3, Robustness
        >>> robustness = Robustness(perturbation=Linf(0.05), kappa=0.1)
        >>> agent = SATD3("MlpPolicy", "Pendulum-v1", robustness=robustness, buffer_size=1000, seed=0, device="cpu")
        >>> agent = agent.learn(110)
    """

    KIND: ClassVar[str] = "sa-td3"
    RANGES: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Replaying.RANGES,
        "policy_delay": {"integer": True, "least": 1},
        "target_policy_noise": {"least": 0},
        "target_noise_clip": {"least": 0},
    }
    SETTINGS: ClassVar[tuple[str, ...]] = (
        *Replaying.SETTINGS,
        *("policy_delay", "target_policy_noise", "target_noise_clip"),
    )
