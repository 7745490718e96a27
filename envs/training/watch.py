"""A callback of long trainings: save the state at intervals, write what is logged, and tell the progress."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from robustsuite.runs import checkpoints
from robustsuite.runs.run import ProgressBar, Run

from . import resume


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
