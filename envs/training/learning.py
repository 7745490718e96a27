"""Hyper-parameters of DQN and its robust kin, each as one value, and the agent that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robustsuite.arguments import check_fields, check_flags, check_numbers
from robustsuite.errors import InvalidInput

from .replay import Prioritized
from .robustness import Robustness

if TYPE_CHECKING:
    from ..algorithms.value_based import ValueBased


@dataclass(frozen=True, slots=True)
class FallingRate:
    """A learning rate that falls with the share of the training that remains; a value, so that agents can be saved.

    Args:
        start: at the beginning, > 0.
        decay: power of the remaining share, >= 0; 0 keeps the rate as it is.
        lowest: what the remaining share counts as at least, in [0, 1].
    """

    start: float
    decay: float = 1.0
    lowest: float = 0.05

    def __post_init__(self) -> None:
        check_fields(self, "start", above=0)
        check_fields(self, "decay", least=0)
        check_fields(self, "lowest", least=0, most=1)

    def __call__(self, remaining: float) -> float:
        """Give the rate where `remaining` of the training, in [0, 1], is left."""
        return float(self.start * max(remaining, self.lowest) ** self.decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class QLearning:
    """Hyper-parameters of DQN and SA-DQN. Counts are transitions, whatever the number of environments.

    Args:
        timesteps: of the whole training, >= 1.
        environments: stepped side by side in one process, >= 1.
        hidden: widths of the hidden layers (ReLU), each >= 1; on images the network of Mnih et al. 2015 is taken instead.
        learning_rate: of Adam at the start, > 0; times the remaining share of the training (0.05 at least) to the power `decay`.
        decay: see `learning_rate`, >= 0; 1 is a straight line.
        batch_size: transitions per update, >= 1.
        buffer_size: transitions kept for replay, >= 1.
        learning_starts: transitions before the first update, >= 0.
        gamma: discount, in (0, 1].
        collect: transitions between two rounds of updates, a multiple of `environments`.
        updates: gradient steps per round, >= 1.
        target_every: transitions between copies to the target network (at a round's end at the earliest), >= 1.
        tau: share of the online network that a copy mixes in, in (0, 1]; 1 copies.
        exploration_fraction: share of the training over which random actions get fewer, in (0, 1].
        exploration_final: share of random actions after that, in [0, 1].
        double, dueling, prioritized: of the algorithm. See `ValueBased`.

    Raises:
        InvalidInput: `collect` is not a multiple of `environments`, or a number is outside its range.

    Source: the defaults start from the RL Zoo's values for CartPole (Raffin 2020). Larger batches, a target network that is
        copied twice as often and a falling learning rate reach 500 in half of the steps and hold it longer.
    """

    timesteps: int = 40_000
    environments: int = 8
    hidden: tuple[int, ...] = (128, 128)
    learning_rate: float = 2e-3
    decay: float = 1.0
    batch_size: int = 128
    buffer_size: int = 100_000
    learning_starts: int = 1000
    gamma: float = 0.99
    collect: int = 64
    updates: int = 32
    target_every: int = 8
    tau: float = 0.1
    exploration_fraction: float = 0.1
    exploration_final: float = 0.04
    double: bool = False
    dueling: bool = False
    prioritized: Prioritized | None = None

    def __post_init__(self) -> None:
        counts = (
            *("timesteps", "environments", "batch_size", "buffer_size"),
            *("updates", "target_every", "collect"),
        )
        check_fields(self, *counts, integer=True, least=1)
        check_fields(self, "learning_starts", integer=True, least=0)
        check_fields(self, "learning_rate", "exploration_fraction", "gamma", "tau", above=0)
        check_fields(self, "exploration_fraction", "exploration_final", "gamma", "tau", least=0, most=1)
        check_fields(self, "decay", least=0)
        check_numbers("hidden", self.hidden, integer=True, least=1)
        check_flags(self, "double", "dueling")
        if self.collect % self.environments:
            raise InvalidInput(
                f"collect is {self.collect} with {self.environments} environments; expected a multiple of it"
            )

    def algorithm(self) -> tuple[type[ValueBased], dict[str, Any]]:
        """Give the algorithm, and the keywords that it alone has."""
        from ..algorithms.sa_dqn import SADQN

        return SADQN, {}

    def build(
        self, environment: str, *, robustness: Robustness, seed: int, device: str = "cpu"
    ) -> ValueBased:
        """Make a fresh agent on fresh environments; with kappa 0 it is plain DQN, to the bit."""
        from .. import environments

        kind, own = self.algorithm()
        images = environments.shows_images(environment)
        return kind(
            "CnnPolicy" if images else "MlpPolicy",
            environments.make_many(environment, self.environments, seed=seed),
            robustness=robustness,
            learning_rate=FallingRate(self.learning_rate, self.decay),
            batch_size=self.batch_size,
            buffer_size=self.buffer_size,
            learning_starts=self.learning_starts,
            gamma=self.gamma,
            train_freq=self.collect // self.environments,
            gradient_steps=self.updates,
            target_update_interval=max(self.target_every, self.environments),
            tau=self.tau,
            exploration_fraction=self.exploration_fraction,
            exploration_final_eps=self.exploration_final,
            policy_kwargs={} if images else {"net_arch": list(self.hidden)},
            double=self.double,
            dueling=self.dueling,
            prioritized=self.prioritized,
            seed=seed,
            device=device,
            **own,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CARLearning(QLearning):
    """Hyper-parameters of CAR-DQN.

    Args:
        temperature: of its softmax over the batch, > 0. See `CARDQN`.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        QLearning.__post_init__(self)
        check_fields(self, "temperature", above=0)

    def algorithm(self) -> tuple[type[ValueBased], dict[str, Any]]:
        """See `QLearning.algorithm`."""
        from ..algorithms.car_dqn import CARDQN

        return CARDQN, {"temperature": self.temperature}


@dataclass(frozen=True, slots=True, kw_only=True)
class RADIALLearning(QLearning):
    """Hyper-parameters of RADIAL-DQN."""

    def algorithm(self) -> tuple[type[ValueBased], dict[str, Any]]:
        """See `QLearning.algorithm`."""
        from ..algorithms.radial_dqn import RADIALDQN

        return RADIALDQN, {}
