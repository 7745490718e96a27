"""Actor and critic with a learning rate each, where stable-baselines3 knows one; and what the environment pays, checked."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import FloatSchedule
from torch import Tensor

from robustsuite.arguments import check_number
from robustsuite.errors import InvalidInput, TrainingDiverged
from robustsuite.perturbations import Region

from .. import environments
from ..policies import Policy
from ..regularizers import Quantity
from .robust import Robust


class ActorCritic(Robust):
    """The part of algorithms on continuous actions with an actor and a critic (PPO, DDPG, TD3). See `Robust`.

    Args:
        policy, env, settings: see `Robust`.
        critic_learning_rate: of the critic alone, a number or a function of the remaining share of the training; None: as
            the actor's, `learning_rate`.

    Attributes:
        view: the actor as attacks and bounds see it; its parameters are those in training.
    """

    DISCRETE: ClassVar[bool] = False
    VALUES: ClassVar[tuple[str, ...]] = (*Robust.VALUES, "critic_learning_rate")

    view: Policy

    def __init__(
        self, policy: str | type[BasePolicy], env: Any, *, critic_learning_rate: Any = None, **settings: Any
    ) -> None:
        if critic_learning_rate is not None and not callable(critic_learning_rate):
            check_number("critic_learning_rate", critic_learning_rate, above=0)
        self.critic_learning_rate = critic_learning_rate
        super().__init__(policy, env, **settings)

    @property
    def critic_rate(self) -> float:
        """The critic's present learning rate."""
        chosen = self.critic_learning_rate
        schedule = self.lr_schedule if chosen is None else FloatSchedule(chosen)
        return float(schedule(self._current_progress_remaining))

    def solve(self, quantity: Quantity, region: Region, share: float) -> Tensor:
        """Give the largest value of a quantity at each state, by the regulariser of the algorithm's `Robustness`."""
        return self.robustness.regularizer.worst(
            self.view, quantity, region, ramp=share, generator=self.adversary_generator
        )

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.robustness.kappa > 0:
            environments.check_spaces(self, vectors=True, discrete=False)
            if list(self._extractor().parameters()):
                raise InvalidInput(
                    "the policy's features_extractor has weights; expected 'MlpPolicy' without a network in front of it"
                )

    @abstractmethod
    def _extractor(self) -> torch.nn.Module:
        """Give what stands before the actor."""

    def all_finite(self, values: npt.NDArray[np.floating], name: str) -> None:
        """Check numbers that came from the environment.

        Raises:
            TrainingDiverged: one is not finite; names step and term.
        """
        wrong = values[~np.isfinite(values)]
        if len(wrong):
            raise TrainingDiverged(
                f"{name} is {wrong[0]} by timestep {self.num_timesteps}; expected finite numbers: look at what the "
                "environment gives"
            )

    def finite_weights(self) -> None:
        """Check the weights after updates that the parent made.

        Raises:
            TrainingDiverged: one is not finite.
        """
        for name, parameter in self.policy.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise TrainingDiverged(
                    f"weight {name} is not finite at timestep {self.num_timesteps}; expected finite numbers: look for NaN "
                    "in observations and rewards, lower learning_rate"
                )

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "view"]
