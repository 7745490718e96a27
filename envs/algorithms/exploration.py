"""Noise on the actions of deterministic policies, as a value, so that agents with it can be saved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise, OrnsteinUhlenbeckActionNoise

from robustsuite.arguments import check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianNoise:
    """Independent at each step.

    Args:
        std: in units of the squashed action in [-1, 1], >= 0.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self, "std", least=0)

    def build(self, coordinates: int) -> ActionNoise:
        """Make the noise of stable-baselines3."""
        return NormalActionNoise(np.zeros(coordinates), np.full(coordinates, self.std))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrnsteinUhlenbeckNoise:
    """Drawn back to 0 by theta times its distance at each step of length dt.

    Args:
        std: of what is added, in units of the squashed action in [-1, 1], >= 0.
        theta: >= 0.
        dt: > 0.

    Source: Lillicrap et al. 2015 (DDPG), section 7; the defaults are those of Zhang et al. 2020 (SA-DDPG).
    """

    std: float = 0.2
    theta: float = 0.15
    dt: float = 0.01

    def __post_init__(self) -> None:
        check_fields(self, "std", "theta", least=0)
        check_fields(self, "dt", above=0)

    def build(self, coordinates: int) -> ActionNoise:
        """Make the noise of stable-baselines3."""
        return OrnsteinUhlenbeckActionNoise(
            np.zeros(coordinates), np.full(coordinates, self.std), theta=self.theta, dt=self.dt
        )


Exploration = GaussianNoise | OrnsteinUhlenbeckNoise
