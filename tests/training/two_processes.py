"""Trainings for ``torchrun``: every process works on its part of each batch.

``python -m tests.training.two_processes FOLDER`` trains each objective of the cases, and a model with batch norm in
batches that leave one of two processes without an example.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from robustsuite.runs import checkpoints
from robustsuite.runs.run import Run
from robustsuite.training import (
    AWP,
    SGD,
    Batch,
    Descent,
    Loss,
    Objective,
    PerExample,
    Progress,
    Standard,
    Training,
    Update,
    fit,
    seeded,
)
from tests.training.cases import OBJECTIVES, toy_data, toy_model


@dataclass(frozen=True)
class Counting(Objective):
    """Counts how often it saw each example, and keeps a mean of the labels."""

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        state = nn.Module()
        state.rows = PerExample(seen=torch.zeros(examples, dtype=torch.long))
        state.register_buffer("mean", torch.tensor(1.0))
        return state

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        state.get_submodule("rows").get_buffer("seen")[batch.index] += 1
        state.get_buffer("mean").lerp_(batch.labels.float().mean(), 0.5)
        return Standard()(model, batch, progress, state)


class Named(nn.Module):
    """A network with a buffer that no process changes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(0.47))
        self.network = toy_model()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.network(x * self.get_buffer("scale"))
        return outputs


def train(
    folder: Path, model: nn.Module, update: Update, *, examples: int = 51, batch_size: int = 13
) -> None:
    """Train; every process saves what it has, to be compared."""
    run = Run.scratch(folder)
    training = Training(epochs=2, batch_size=batch_size)
    fit(model, update, toy_data(examples), training=training, run=run, seed=0)
    run.close()
    rank = os.environ.get("RANK", "0")
    checkpoints.save(folder / f"{rank}.safetensors", tensors=model.state_dict(), state={})


def main(folder: Path) -> None:
    """Train everything; each in a folder of its own."""
    for name, case in OBJECTIVES.items():
        train(folder / name, toy_model(), AWP(Descent(case.objective, optimizer=SGD(rate=0.05))))
    train(folder / "counting", Named(), Descent(Counting(), optimizer=SGD(rate=0.05)))
    normed = seeded(lambda: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), 0)
    train(folder / "normed", normed, Descent(Standard(), optimizer=SGD(rate=0.05)))
    # Batches of one example: the second process has none.
    train(folder / "empty", Named(), Descent(Counting(), optimizer=SGD(rate=0.05)), examples=11, batch_size=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
