"""Criteria around a criterion: met with confidence, or pursued by another loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_number
from robustsuite.attacks import losses
from robustsuite.attacks.criteria.criterion import (
    BatchCriterion,
    Criterion,
    check_criterion,
    check_examples,
    check_outputs,
    raised,
)
from robustsuite.attacks.losses import RowLoss


@dataclass(frozen=True, slots=True, eq=False)
class Confident(BatchCriterion):
    """A criterion is met, with a score of at least `confidence`.

    Source: Carlini and Wagner 2017, section VI-A (kappa).

    Args:
        criterion: what is sought.
        confidence: least score; inf: never met.
    """

    criterion: Criterion
    confidence: float

    def __post_init__(self) -> None:
        check_criterion(self.criterion)
        check_number("confidence", self.confidence, endless=True)

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        return self.criterion.met(outputs) & (self.criterion.score(outputs) >= self.confidence)

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        return self.criterion.score(outputs)

    def raised(self, loss: RowLoss, outputs: Tensor) -> Float[Tensor, " rows"]:
        return raised(self.criterion, loss, outputs)

    def select(self, index: Tensor) -> Confident:
        return Confident(self.criterion.select(index), self.confidence)

    def check_examples(self, count: int, device: torch.device) -> None:
        check_examples(self.criterion, count, device)

    def check_outputs(self, outputs: Tensor) -> None:
        check_outputs(self.criterion, outputs)


@dataclass(frozen=True, slots=True, eq=False)
class Steered(BatchCriterion):
    """A criterion that an attack pursues by raising a loss of its own.

    Args:
        criterion: what counts.
        loss: what is raised.
    """

    criterion: Criterion
    loss: RowLoss

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        return self.criterion.met(outputs)

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        return raised(self.criterion, self.loss, outputs)

    def select(self, index: Tensor) -> Steered:
        return Steered(self.criterion.select(index), losses.select(self.loss, index))

    def check_examples(self, count: int, device: torch.device) -> None:
        check_examples(self.criterion, count, device)

    def check_outputs(self, outputs: Tensor) -> None:
        check_outputs(self.criterion, outputs)
