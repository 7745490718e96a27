"""Training of adversaries by reinforcement learning: learned adversaries and directors, the best of the training kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from robustsuite import seeding
from robustsuite.arguments import check_fields, check_kind
from robustsuite.errors import CheckpointError
from robustsuite.perturbations import Perturbation
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint

from .. import environments
from ..policies import Agent, sb3
from ..policies import agent as agents
from ..threads import one_thread
from .director import Director
from .learned_adversary import LearnedAdversary
from .trials import played_under

Learned = LearnedAdversary | Director

ROUND = 2048
"""Time steps between two updates of PPO, all environments together."""

SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training(ABC):
    """What both trainings share: PPO on the adversary's environment, validated on episodes of their own.

    Args:
        timesteps: steps of the agent's environment, >= 1; the training ends with the validation after them.
        validations: rounds of `ROUND` steps between two validations, >= 1.
        episodes: for each validation, >= 1.
        rate: of PPO's Adam, > 0.
    """

    timesteps: int = 100_000
    validations: int = 4
    episodes: int = 10
    rate: float = 3e-4

    def __post_init__(self) -> None:
        check_fields(self, "timesteps", "validations", "episodes", integer=True, least=1)
        check_fields(self, "rate", above=0)

    @property
    @abstractmethod
    def name(self) -> str:
        """Give the name that tables show."""

    @abstractmethod
    def game(self, agent: Agent, perturbation: Perturbation) -> Any:
        """Give the adversary's moves."""

    @abstractmethod
    def adversary(self, learned: Agent, timesteps: int) -> Learned:
        """Give the adversary of a policy."""

    def prepare(self, agent: Agent, perturbation: Perturbation, *, seed: int) -> Learned:
        """See `Preparation`. The least mean return of all validations is kept, that of fresh weights among them: with one
        seed, a longer training never leaves the agent more on these episodes than a shorter one."""
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import VecNormalize

        from ..threat.adversary_env import VecGame

        check_kind(agent, Agent, "agent", "the Agent under attack")
        own = seeding.derive(seed, self.name)
        game = self.game(agent, perturbation)
        with one_thread():
            plain = environments.make_many(agent.env, SIDE_BY_SIDE, seed=own)
            env = VecNormalize(VecGame(plain, game, seed=own), gamma=0.99)
            try:
                model = PPO(
                    "MlpPolicy",
                    env,
                    n_steps=ROUND // SIDE_BY_SIDE,
                    learning_rate=self.rate,
                    policy_kwargs={"log_std_init": -0.5},
                    seed=own,
                    device=agent.policy.device,
                )
                best = self._learned(model, agent, perturbation, seed)
            finally:
                env.close()
        return best

    def _learned(self, model: Any, agent: Agent, perturbation: Perturbation, seed: int) -> Learned:
        first = seeding.derive(seed, self.name, "validation")

        def validated() -> tuple[float, Learned]:
            found = self.adversary(sb3.convert(model, agent.env), model.num_timesteps)
            played = played_under(agent, perturbation, found, episodes=self.episodes, seed=first)
            return float(played.mean()), found

        least, best = validated()
        while model.num_timesteps < self.timesteps:
            model.learn(self.validations * ROUND, reset_num_timesteps=False)
            value, found = validated()
            if value < least:
                least, best = value, found
        return best


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversaryTraining(_Training):
    """Train a `LearnedAdversary` by PPO. Arguments as for every training.

    Source: Zhang et al. 2021 (ATLA), section 3: the attack on a fixed agent.
    """

    @property
    def name(self) -> str:
        return "learned adversary"

    def game(self, agent: Agent, perturbation: Perturbation) -> Any:
        """See `Places`."""
        from ..threat.adversary_env import Places

        return Places(agent, perturbation)

    def adversary(self, learned: Agent, timesteps: int) -> Learned:
        """See `LearnedAdversary`."""
        return LearnedAdversary(adversary=learned, timesteps=timesteps)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorTraining(_Training):
    """Train a `Director` by PPO.

    Source: Sun et al. 2022 (PA-AD), section 4.

    Args:
        steps: of the inner PGD, >= 1.
    """

    steps: int = 10

    def __post_init__(self) -> None:
        _Training.__post_init__(self)
        check_fields(self, "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "PA-AD"

    def game(self, agent: Agent, perturbation: Perturbation) -> Any:
        """See `Directions`."""
        from ..threat.adversary_env import Directions

        return Directions(agent, perturbation, steps=self.steps)

    def adversary(self, learned: Agent, timesteps: int) -> Learned:
        """See `Director`."""
        return Director(director=learned, timesteps=timesteps, steps=self.steps)


def train_adversary(
    agent: Agent, perturbation: Perturbation, *, timesteps: int = 100_000, seed: int = 0
) -> LearnedAdversary:
    """Train a learned adversary of an agent. See `AdversaryTraining`."""
    found = AdversaryTraining(timesteps=timesteps).prepare(agent, perturbation, seed=seed)
    assert isinstance(found, LearnedAdversary)
    return found


_KINDS: dict[str, Callable[[Agent, dict[str, Any]], Learned]] = {
    "learned adversary": lambda agent, state: LearnedAdversary(adversary=agent, timesteps=state["timesteps"]),
    "PA-AD": lambda agent, state: Director(
        director=agent, timesteps=state["timesteps"], steps=state["steps"]
    ),
}


def save(adversary: Learned, path: Path) -> None:
    """Write a trained adversary in one step. See `robustsuite.runs.checkpoints.save`."""
    check_kind(adversary, (LearnedAdversary, Director), "adversary", "a LearnedAdversary or a Director")
    learned = adversary.adversary if isinstance(adversary, LearnedAdversary) else adversary.director
    saved = learned.checkpoint()
    state = {"kind": adversary.name, "timesteps": adversary.timesteps, "agent": saved.state}
    if isinstance(adversary, Director):
        state["steps"] = adversary.steps
    checkpoints.save(path, tensors=saved.tensors, state=state)


def load(path: Path, *, device: torch.device | str = "cpu") -> Learned:
    """Read an adversary that `save` wrote.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    saved = checkpoints.load(path)
    kind = saved.state.get("kind")
    if kind not in _KINDS:
        raise CheckpointError(
            f"checkpoint is of kind {kind!r}; expected one of a trained adversary: {', '.join(_KINDS)}"
        )
    try:
        inner = Checkpoint(tensors=saved.tensors, state=saved.state["agent"])
        return _KINDS[kind](agents.from_checkpoint(inner, device=device), saved.state)
    except KeyError as error:
        raise CheckpointError(f"checkpoint of an adversary lacks {error}") from None
