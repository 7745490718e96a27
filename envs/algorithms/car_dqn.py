"""CAR-DQN: stable-baselines3's DQN on the worst Bellman error that a shown state makes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from robustsuite.arguments import check_number
from robustsuite.perturbations import Region

from ..regularizers import BellmanError
from .value_based import Batch, MixedLoss


class CARDQN(MixedLoss):
    """Deep Q-learning on a soft maximum over the batch of the worst Bellman error near each state.

    ``L = (1 - kappa) TD + kappa sum_i p_i w_i e_i`` with ``e_i = huber(max over s^ in B(s_i) of |Q(s^, a_i) - y_i|)`` and
    ``p = softmax(e / temperature)`` without gradient. Targets come from clean states; which action is greedy plays no part.

    Source: Li et al. 2024 (CAR-DQN), section 4. Its runs: kappa 1, temperature 1, double and dueling, from a trained agent.

    Note:
        e_i is the Huber loss, as in TD, for bounds and for PGD alike: so the convex form is never below the searched one.
        (The authors' convex form is min(d, d^2), whose gradient jumps from 2 to 1.) Weights of importance w_i count as in TD.
        p is a softmax over the batch: the loss depends on its size. Before the ramp begins it is plain DQN.

    Args:
        policy, env, robustness, options: as for `ValueBased`; kappa at most 1.
        temperature: lambda of the softmax, > 0; endless: the mean.

    Raises:
        InvalidInput: see `ValueBased`.

    Example:
        >>> from robustsuite import Linf
        >>> from robustsuite.envs import CARDQN, Robustness
        >>> robustness = Robustness(perturbation=Linf(0.01), kappa=1.0)
        >>> agent = CARDQN("MlpPolicy", "CartPole-v1", robustness=robustness, double=True, seed=0, device="cpu")
        >>> agent = agent.learn(200)
    """

    KIND: ClassVar[str] = "car-dqn"
    SETTINGS: ClassVar[tuple[str, ...]] = (*MixedLoss.SETTINGS, "temperature")

    def __init__(self, policy: Any, env: Any, *, temperature: float = 1.0, **options: Any) -> None:
        check_number("temperature", temperature, above=0, endless=True)
        self.temperature = temperature
        super().__init__(policy, env, **options)

    def worst(self, batch: Batch, region: Region, share: float) -> Float[Tensor, ""]:
        """Give the soft maximum of the worst Bellman errors. See `ValueBased.worst`."""
        error = BellmanError(batch.actions, batch.targets, self.q_function.actions)
        largest = self.solve(error, region, share)
        each = functional.huber_loss(largest, torch.zeros_like(largest), reduction="none")
        share_of = (each.detach() / self.temperature).softmax(0)
        return (share_of * (each if batch.weights is None else batch.weights * each)).sum()
