"""Training objectives, and measures to choose weights by, on embedded sentences."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from robustsuite.arguments import check_callable, check_kind
from robustsuite.errors import InvalidInput
from robustsuite.training import Batch, Loss, Measure, Objective, Progress

from .models import SentenceClassifier


@dataclass(frozen=True, slots=True)
class InEmbeddings(Objective):
    """Apply an objective to the network behind the embedding table; gradients reach the table as well.

    Args:
        objective: such as `Certified(perturbation=WordLinf(0.1))`.
    """

    objective: Objective

    def __post_init__(self) -> None:
        check_kind(self.objective, Objective, "objective", "a training objective such as Standard()")

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        return self.objective.state(_checked(model).network, examples)

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        model = _checked(model)
        return self.objective(model.network, replace(batch, x=model.embed(batch.x)), progress, state)


@dataclass(frozen=True, slots=True)
class MeasuredInEmbeddings:
    """Apply a measure to the network behind the embedding table.

    Args:
        measure: such as `CertifiedAccuracy(perturbation=WordLinf(0.1))`.
    """

    measure: Measure

    def __post_init__(self) -> None:
        check_callable(self.measure, "measure", "a measure such as Accuracy()")

    def __call__(self, model: nn.Module, batch: Batch) -> Bool[Tensor, " batch"]:
        model = _checked(model)
        with torch.no_grad():
            embedded = replace(batch, x=model.embed(batch.x))
        return self.measure(model.network, embedded)


def _checked(model: nn.Module) -> SentenceClassifier:
    if not isinstance(model, SentenceClassifier):
        raise InvalidInput(f"model is a {type(model).__name__}; expected a SentenceClassifier")
    return model
