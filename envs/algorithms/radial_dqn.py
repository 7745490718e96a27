"""RADIAL-DQN: stable-baselines3's DQN with a penalty on ranges of Q that overlap."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from robustsuite.perturbations import Region

from ..regularizers import RadialOverlap
from .value_based import Batch, MixedLoss


class RADIALDQN(MixedLoss):
    """Deep Q-learning that keeps worse actions from ever looking better than the one taken, the more the worse they are.

    ``L = (1 - kappa) TD + kappa mean_i sum_a gap_a max(0, upper_a - lower_taken + gap_a / 2)``, with
    ``gap_a = max(0, Q(s, taken) - Q(s, a))`` without gradient, and bounds of Q over B(s).

    Source: Oikarinen et al. 2021 (RADIAL-RL), section 4 (approach 2). Its runs: from a trained agent, IBP, a weight of .8 on TD,
    which is ``kappa=0.2`` here, where kappa is the worst case's weight in all algorithms.

    Note:
        Before the ramp begins it is plain DQN.

    Args:
        policy, env, robustness, options: as for `ValueBased`; kappa at most 1.

    Raises:
        InvalidInput: see `ValueBased`.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import RADIALDQN, Robustness
        >>> robustness = Robustness(perturbation=Linf(0.01), kappa=0.2)
        >>> agent = RADIALDQN("MlpPolicy", "CartPole-v1", robustness=robustness, seed=0, device="cpu")
        >>> agent = agent.learn(200)
    """

    KIND: ClassVar[str] = "radial-dqn"

    def worst(self, batch: Batch, region: Region, share: float) -> Float[Tensor, ""]:
        """Give the mean overlap. See `ValueBased.worst`."""
        gaps = (batch.taken.unsqueeze(1) - batch.values).detach().clamp(min=0)
        return batch.mean(self.solve(RadialOverlap(batch.actions, gaps), region, share))
