"""RADIAL-PPO: stable-baselines3's PPO on the worst clipped surrogate that bounds of the policy's mean allow."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_number
from robustsuite.perturbations import Region

from ..regularizers import WorstSurrogate
from .robust_ppo import RobustPPO, Surrogate


class RADIALPPO(RobustPPO):
    """Proximal policy optimisation on ``(1 - kappa) * clipped surrogate + kappa * worst clipped surrogate over B(s)``.

    Where the advantage is positive the worst is the lowest log-probability of the action taken while the mean lies between
    its bounds, else the highest. Bounds by propagation of intervals are the paper's: ``ConvexRegularizer(beta=Constant(0))``.

    Source: Oikarinen et al. 2021 (RADIAL-RL), section 4.2; its kappa is ``1 - kappa`` here, so that 0 is PPO.

    Args:
        policy, env, robustness, critic_learning_rate, settings: see `RobustPPO`; kappa lies in [0, 1].

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import RADIALPPO, Robustness
        >>> robustness = Robustness(perturbation=Linf(0.05), kappa=0.5)
        >>> agent = RADIALPPO("MlpPolicy", "Pendulum-v1", robustness=robustness, n_steps=64, seed=0, device="cpu")
        >>> agent = agent.learn(64)
    """

    KIND: ClassVar[str] = "radial-ppo"

    def _setup_model(self) -> None:
        check_number("kappa of RADIAL-PPO", self.robustness.kappa, least=0, most=1)
        super()._setup_model()

    def actor_loss(
        self, part: Surrogate, region: Region, share: float
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        quantity = WorstSurrogate(
            part.actions, part.deviations, part.advantages, part.log_old, clip=part.clip
        )
        worst = self.solve(quantity, region, share).mean()
        kappa = self.robustness.kappa
        return (1 - kappa) * part.nominal + kappa * worst, {"worst surrogate": worst}
