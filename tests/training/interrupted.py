"""A training that may kill its process.

With a checkpoint in the folder it resumes. `step` is the update before which the process gets SIGKILL; -1 for none.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from robustsuite import Linf
from robustsuite.runs.run import Run
from robustsuite.training import (
    AWP,
    Adam,
    Adversarial,
    Averaged,
    Batch,
    Cosine,
    Descent,
    Linear,
    Loss,
    Objective,
    Progress,
    Training,
    fit,
    seeded,
)
from tests.training.cases import toy_data, toy_points


@dataclass(frozen=True)
class KilledAt(Objective):
    """An objective that ends its process at a step, without a chance to clean up."""

    before: ClassVar[int] = -1  # no option of the training: it resumes with another one
    objective: Objective

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        return self.objective.state(model, examples)

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        if progress.step == self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.objective(model, batch, progress, state)


def main(folder: Path, step: int = -1) -> None:
    """Train in a folder; the process gets SIGKILL before an update, or not (-1)."""
    x, y = toy_points()
    # Dropout, batch statistics, an attack's random starts, momentum, averages and the best weights all have to come back.
    model = seeded(
        lambda: nn.Sequential(
            nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
        ),
        0,
    )
    run = Run.scratch(folder, resume=(folder / "checkpoints" / "training.safetensors").exists())
    KilledAt.before = step
    objective = KilledAt(Adversarial(perturbation=Linf(0.1), radius=Linear(length=3.0)))
    fit(
        model,
        Averaged(AWP(Descent(objective, optimizer=Adam(rate=0.02))), decay=0.9, begin=1.0),
        toy_data(),
        training=Training(epochs=6, batch_size=50, rate_schedule=Cosine(length=6.0), checkpoint_steps=4),
        run=run,
        seed=3,
        validate=lambda model: float((model(x).argmax(1) == y).float().mean()),
    )
    run.close()
