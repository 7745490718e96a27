"""SA-PPO: stable-baselines3's PPO with the state-adversarial regulariser."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from robustsuite.perturbations import Region

from ..regularizers import GaussianShift
from .robust_ppo import RobustPPO, Surrogate


class SAPPO(RobustPPO):
    """Proximal policy optimisation whose Gaussian moves little when the observation moves inside a ball.

    ``L = clipped surrogate - entropy + kappa * mean_i max over s^ in B(s_i) of sum_j ((mu_j(s^) - mu_j(s_i)) / sigma_j)^2``,
    with a gradient through mu(s_i) and sigma, and without the factor 1/2 of the divergence, as in the authors' code.

    Source: Zhang et al. 2020 (SA-MDP), section 3.2.

    Args:
        policy, env, robustness, critic_learning_rate, settings: see `RobustPPO`.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import SAPPO, Robustness
        >>> robustness = Robustness(perturbation=Linf(0.05), kappa=0.1)
        >>> agent = SAPPO("MlpPolicy", "Pendulum-v1", robustness=robustness, n_steps=64, seed=0, device="cpu")
        >>> agent = agent.learn(64)
    """

    KIND: ClassVar[str] = "sa-ppo"

    def actor_loss(
        self, part: Surrogate, region: Region, share: float
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        shift = self.solve(GaussianShift(part.means, part.deviations), region, share).mean()
        return part.nominal + self.robustness.kappa * shift, {"regulariser": shift}
