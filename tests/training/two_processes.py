"""A certified training for ``torchrun``: every process works on its part of each batch."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from robustsuite.runs.run import Run
from robustsuite.training import SGD, Training, fit
from tests.training.cases import OBJECTIVES, toy_data, toy_model


def main() -> None:
    torch.set_num_threads(1)
    x, y = toy_data(101)
    training = Training(epochs=4, batch_size=25, optimizer=SGD(rate=0.05))
    run = Run.scratch(Path(sys.argv[1]))
    fit(toy_model(), OBJECTIVES["Certified"][0], x, y, training=training, run=run, seed=0)
    run.close()


if __name__ == "__main__":
    main()
