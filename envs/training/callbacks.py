"""Callbacks of a training: keep the best agent by validation, and save the state of the run.

DQN forgets: the last network of a training is often far from its best (CartPole falls from 500 to 20 within a few
updates). So agents are validated during training on episodes of their own seeds, and the best one is kept.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.preprocessing import is_image_space
from torch import Tensor

from robustsuite.errors import CheckpointError
from robustsuite.perturbations import Linf, Perturbation
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.runs.run import ProgressBar, Run

from ..algorithms import state
from ..algorithms.robust import Robust
from ..policies import Agent, sb3
from ..policies import agent as agents
from ..threat import scale
from . import resume
from .validation import Score, Validation, validate


class KeepBest(BaseCallback):
    """Validate between updates, keep the best agent, stop when it is good enough.

    The regulariser widens the margin of whatever action is greedy, so it should meet a network that knows the good ones:
    the radius begins to grow as soon as the natural return is good enough (at the ramp's start at the latest), and, where
    the validation says so, from the weights with the best natural return so far.

    Args:
        env: gymnasium id of the environment for validation.
        deviations: of each coordinate, in which radii count; None: those of the states in the replay buffer when the ramp
            begins.
        radius: of the training, in deviations.
        validation: when and on what.
        run: gets the scalars ``validation/*``.
        seed: of the run.
        progress: told of the timesteps.
    """

    def __init__(
        self,
        *,
        env: str,
        deviations: tuple[float, ...] | None,
        radius: float,
        validation: Validation,
        run: Run,
        seed: int,
        progress: ProgressBar,
    ) -> None:
        super().__init__()
        self._env, self._validation, self._run, self._seed = env, validation, run, seed
        self._deviations, self._radius = deviations, radius
        self._progress = progress
        self._next = 0
        self._good = 0
        self._best: Score | None = None
        self._natural = -math.inf
        self._ramping = False
        self._start: dict[str, Tensor] = {}
        self._shown = 0
        self.agent: Agent | None = None

    def capture(self) -> Checkpoint:
        """Give the best agent so far and the counters."""
        best = None
        if self._best is not None:
            values = (self._best.total, self._best.certified, self._best.natural, self._best.attacked)
            best = [value if math.isfinite(value) else None for value in values]
        counters: dict[str, Any] = {
            "next": self._next,
            "good": self._good,
            "best": best,
            "ramping": self._ramping,
            "deviations": self._deviations,
        }
        counters["natural"] = self._natural if math.isfinite(self._natural) else None
        parts = {"counters": Checkpoint(state=counters)}
        if self.agent is not None:
            parts["agent"] = self.agent.checkpoint()
        parts["start"] = Checkpoint(tensors=self._start)
        return checkpoints.join(**parts)

    def restore(self, saved: Checkpoint) -> None:
        """Put the state of `capture` back."""
        counters = saved.part("counters").state
        self._next, self._good = counters["next"], counters["good"]
        self._ramping = counters["ramping"]
        if counters["deviations"] is not None:
            self._deviations = tuple(counters["deviations"])
        self._natural = -math.inf if counters["natural"] is None else counters["natural"]
        if counters["best"] is not None:
            self._best = Score(*(-math.inf if value is None else value for value in counters["best"]))
            self.agent = agents.from_checkpoint(saved.part("agent"))
        self._start = dict(saved.part("start").tensors)

    def best(self) -> Agent:
        """Give the best agent of the training.

        Raises:
            CheckpointError: nothing was validated yet.
        """
        if self.agent is None:
            raise CheckpointError("no agent was validated yet; train for at least one round of updates")
        self._measure(now=True)
        return self.agent

    @property
    def finished(self) -> bool:
        """Whether enough validations were good enough."""
        return self._good >= self._validation.patience

    def look(self) -> None:
        """Validate the present network."""
        self._measure()
        eps = self._radius if self._model.robustness.kappa > 0 else None
        agent = sb3.convert(self._model, self._env, deviations=self._deviations, eps=eps)
        score = validate(
            agent,
            self._validation,
            attacked=(self._deviations is not None or is_image_space(self._model.observation_space))
            and self._model.radius_share >= self._validation.attack_from,
            beat=-math.inf if self._best is None else self._best.total,
            seed=self._seed,
            step=self.num_timesteps,
        )
        if score.natural > self._natural:
            self._natural = score.natural
            if self._validation.restart_from_best:
                weights = self._model.policy.state_dict()
                self._start = {name: tensor.detach().clone() for name, tensor in weights.items()}
        if self._best is None or (score > self._best and math.isfinite(score.total)):
            self._best, self.agent = score, agent
        self._run.log(self.num_timesteps, **{"validation/natural": score.natural})
        if math.isfinite(score.attacked):
            self._run.log(self.num_timesteps, **{"validation/attacked": score.attacked})
            self._run.log(self.num_timesteps, **{"validation/certified_actions": score.certified})
        if min(score.natural, score.attacked) >= self._validation.enough:
            self._good += 1

    @property
    def _model(self) -> Robust:
        assert isinstance(self.model, Robust)
        return self.model

    def _measure(self, *, now: bool = False) -> None:
        """Measure the deviations, where they are not known and the ramp begins; set the threat of the training by them."""
        model: Any = self._model
        if is_image_space(model.observation_space):
            self._set(Linf(self._radius, clip=(0.0, 1.0)))
            return
        due = now or self.num_timesteps >= model.ramp_start
        if self._deviations is None and due and model.replay_buffer.size() > 1:
            buffer = model.replay_buffer
            states = buffer.observations[: buffer.size()].reshape(-1, *buffer.obs_shape)
            self._deviations = scale.measured(states)
            if self.agent is not None:
                self.agent = replace(self.agent, deviations=self._deviations)
        if self._deviations is not None:
            self._set(scale.ball(self._radius, self._deviations))

    def _set(self, perturbation: Perturbation) -> None:
        model = self._model
        if model.robustness.perturbation != perturbation:
            model.robustness = replace(model.robustness, perturbation=perturbation)

    def _on_rollout_start(self) -> None:
        self._measure()
        total = self._model._total_timesteps
        if self.num_timesteps >= max(self._next, self._validation.start * total):
            self._next = (self.num_timesteps // self._validation.every + 1) * self._validation.every
            if self.num_timesteps > 0:
                self.look()
        if self._model.robustness.kappa > 0 and not self._ramping:
            due = self.num_timesteps >= self._model.ramp_start
            if due or self._natural >= self._validation.enough:
                self._ramping = True
                self._model.begin_ramp()
                if self._start:
                    self._model.policy.load_state_dict(self._start)
                    state.reset_optimizers(self._model)  # its moments belong to other weights

    def _on_step(self) -> bool:
        done = min(self.num_timesteps, self._model._total_timesteps)  # the last round may go beyond
        if done > self._shown:
            self._shown = done
            self._progress.to(done)
        return not self.finished


class SaveState(BaseCallback):
    """Save agent and selection between updates, so that a killed run goes on from there.

    Args:
        path: of the checkpoint.
        every: timesteps between checkpoints, >= 1.
        keeper: saved along.
        seconds: after which one is due earlier, >= 0.
    """

    def __init__(self, *, path: Path, every: int, keeper: KeepBest, seconds: float = 120.0) -> None:
        super().__init__()
        self._path, self._every, self._keeper, self._seconds = path, every, keeper, seconds
        self._last, self._time = 0, 0.0

    def _on_training_start(self) -> None:
        self._last, self._time = self.num_timesteps, time.monotonic()

    def _on_rollout_start(self) -> None:
        late = time.monotonic() - self._time >= self._seconds
        if late or self.num_timesteps - self._last >= self._every:
            self._last, self._time = self.num_timesteps, time.monotonic()
            save(self._path, self.model, self._keeper)

    def _on_step(self) -> bool:
        return True


def save(path: Path, agent: BaseAlgorithm, keeper: KeepBest) -> None:
    """Write the state of a training in one step."""
    whole = checkpoints.join(agent=resume.capture(agent), selection=keeper.capture())
    checkpoints.save(path, tensors=whole.tensors, state=whole.state)


def load(path: Path, agent: BaseAlgorithm, keeper: KeepBest) -> None:
    """Read what `save` wrote into a freshly made agent and keeper.

    Raises:
        CheckpointError: missing, damaged, or of another agent.
    """
    whole: Any = checkpoints.load(path)
    resume.restore(agent, whole.part("agent"))
    keeper.restore(whole.part("selection"))
