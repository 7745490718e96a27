"""Callbacks of long trainings: save the state at intervals, write what is logged, measure the units of radii."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from robustsuite.runs import checkpoints
from robustsuite.runs.run import ProgressBar, Run

from ..algorithms.robust_td3 import RobustTD3
from ..threat import scale
from . import resume

_RECENT = 100_000
"""Of the replayed transitions, how many of the latest the deviations are measured on."""


class Watch(BaseCallback):
    """Save the state between updates, so that a killed run goes on from there, and log the returns of training.

    Args:
        path: of the checkpoint.
        seconds: between checkpoints, >= 0.
        log_every: timesteps between two rows of scalars, >= 1.
        run: gets the scalars.
        progress: told of the timesteps.
    """

    def __init__(
        self, *, path: Path, seconds: float, log_every: int, run: Run, progress: ProgressBar
    ) -> None:
        super().__init__()
        self._path, self._seconds, self._log_every = path, seconds, log_every
        self._run, self._progress = run, progress
        self._saved, self._logged = time.monotonic(), 0

    def _on_training_start(self) -> None:
        self._logged = self.num_timesteps

    def _on_rollout_start(self) -> None:
        # Between two rollouts nothing is left of the one before.
        if self.num_timesteps - self._logged >= self._log_every:
            self._logged = self.num_timesteps
            self._log()
        if self.num_timesteps > 0 and time.monotonic() - self._saved >= self._seconds:
            self.save()
            self._saved = time.monotonic()

    def save(self) -> None:
        """Write the state of the training in one step."""
        whole = resume.capture(self.model)
        checkpoints.save(self._path, tensors=whole.tensors, state=whole.state)

    def _log(self) -> None:
        scalars = {
            name: float(value)
            for name, value in self.model.logger.name_to_value.items()
            if isinstance(value, int | float | np.number)
        }
        if self.model.ep_info_buffer:
            scalars["rollout/return"] = float(
                np.mean([episode["r"] for episode in self.model.ep_info_buffer])
            )
        self._run.log(self.num_timesteps, **scalars)

    def _on_step(self) -> bool:
        self._progress.to(self.num_timesteps)
        return True


class Units(BaseCallback):
    """Measure the deviations of the states that an agent has come to visit, once, and let its radius count in them.

    They are measured when the ramp begins, and kept in a file of their own, so that a resumed training has the same.

    Args:
        path: of the file.
        agent: with a replay buffer; its perturbation's radius counts deviations.
    """

    def __init__(self, path: Path, agent: RobustTD3) -> None:
        super().__init__()
        self._path, self._agent = path, agent
        self._eps = agent.robustness.perturbation.radius or 0.0
        if path.exists():
            self._apply()

    def deviations(self) -> tuple[float, ...]:
        """Give the deviations; a training that ended before its ramp began has them measured now."""
        if not self._path.exists():
            buffer = self._agent.replay_buffer
            assert buffer is not None
            held = buffer.buffer_size if buffer.full else buffer.pos
            recent = np.arange(buffer.pos - min(held, _RECENT), buffer.pos) % buffer.buffer_size
            states = buffer.observations[recent].reshape(len(recent) * buffer.n_envs, -1)
            measured = torch.tensor(scale.measured(states), dtype=torch.float64)
            checkpoints.save(self._path, tensors={"deviations": measured}, state={})
        return tuple(checkpoints.load(self._path).tensors["deviations"].tolist())

    def _apply(self) -> None:
        ball = scale.ball(self._eps, self.deviations())
        self._agent.robustness = replace(self._agent.robustness, perturbation=ball)

    def _on_rollout_start(self) -> None:
        if not self._path.exists() and self.num_timesteps >= self._agent.robustness.ramp.begin:
            self._apply()

    def _on_step(self) -> bool:
        return True
