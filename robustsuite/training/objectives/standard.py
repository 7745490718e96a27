"""Standard training: cross entropy on clean examples."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn import functional

from robustsuite.training.data import Batch
from robustsuite.training.objective import Loss, Objective, Progress


@dataclass(frozen=True, slots=True)
class Standard(Objective):
    """Mean cross entropy; soft targets are taken as they are."""

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        return Loss(total=functional.cross_entropy(model(batch.x), batch.y))
