"""Criteria of labels: another class than the label, a wanted class, the highest loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_callable, check_labels
from robustsuite.attacks import losses
from robustsuite.attacks.criteria.criterion import (
    BatchCriterion,
    Criterion,
    check_criterion,
    check_examples,
    need_scores,
)
from robustsuite.attacks.losses import RowLoss


@dataclass(frozen=True, slots=True, eq=False)
class Misclassification(BatchCriterion):
    """The predicted class is not the label. NaN scores are no class, and meet it.

    The score is the margin; that of a class number 1 where it is another than the label, else -1.

    Args:
        labels: shape (batch,).
    """

    labels: Tensor

    def __post_init__(self) -> None:
        check_labels(self.labels)

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        if outputs.dim() == 1:
            return outputs != self.labels
        return (outputs.argmax(1) != self.labels) | outputs.isnan().any(1)

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        return losses.margin(outputs, self.labels) if outputs.dim() > 1 else _signed(self.met(outputs))

    def raised(self, loss: RowLoss, outputs: Tensor) -> Float[Tensor, " rows"]:
        return loss(outputs, self.labels)

    def select(self, index: Tensor) -> Misclassification:
        return Misclassification(self.labels[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        check_labels(self.labels, count, device=device)

    def check_outputs(self, outputs: Tensor) -> None:
        check_labels(self.labels, classes=outputs.shape[1] if outputs.dim() > 1 else None)


@dataclass(frozen=True, slots=True, eq=False)
class Targeted(BatchCriterion):
    """The predicted class is the wanted one; NaN scores are no class.

    The score is the wanted class's lead; that of a class number 1 where it is the wanted one, else -1. An attack's loss
    counts downwards, or in its own form towards a class (see `losses.toward`).

    Args:
        labels: wanted class of each example, shape (batch,).
    """

    labels: Tensor

    def __post_init__(self) -> None:
        check_labels(self.labels, name="target labels")

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        if outputs.dim() == 1:
            return outputs == self.labels
        return (outputs.argmax(1) == self.labels) & ~outputs.isnan().any(1)

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        return -losses.margin(outputs, self.labels) if outputs.dim() > 1 else _signed(self.met(outputs))

    def raised(self, loss: RowLoss, outputs: Tensor) -> Float[Tensor, " rows"]:
        return losses.toward(loss)(outputs, self.labels)

    def select(self, index: Tensor) -> Targeted:
        return Targeted(self.labels[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        check_labels(self.labels, count, device=device, name="target labels")

    def check_outputs(self, outputs: Tensor) -> None:
        classes = outputs.shape[1] if outputs.dim() > 1 else None
        check_labels(self.labels, classes=classes, name="target labels")


@dataclass(frozen=True, slots=True, eq=False)
class HighestLoss(BatchCriterion):
    """Never met: the attack spends all its steps on raising the loss of every example, as training wants it.

    Args:
        labels: shape (batch,).
        loss: the score, from `robustsuite.attacks.losses` or any (outputs, labels) -> (rows,).
    """

    labels: Tensor
    loss: RowLoss = losses.cross_entropy

    def __post_init__(self) -> None:
        check_labels(self.labels)
        check_callable(self.loss, "loss", "a function of (outputs, labels) from robustsuite.attacks.losses")

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        return torch.zeros_like(self.labels, dtype=torch.bool)

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        return self.loss(outputs, self.labels)

    def raised(self, loss: RowLoss, outputs: Tensor) -> Float[Tensor, " rows"]:
        return loss(outputs, self.labels)

    def select(self, index: Tensor) -> HighestLoss:
        return HighestLoss(self.labels[index], losses.select(self.loss, index))

    def check_examples(self, count: int, device: torch.device) -> None:
        check_labels(self.labels, count, device=device)

    def check_outputs(self, outputs: Tensor) -> None:
        need_scores(self, outputs)
        check_labels(self.labels, classes=outputs.shape[1])


def sought(y: object, count: int, device: torch.device) -> Criterion:
    """Give the criterion that an attack was called with: labels mean `Misclassification`.

    Raises:
        InvalidInput: neither labels nor a criterion, or one for other examples.
    """
    if isinstance(y, Tensor):
        check_labels(y, count, device=device)
        return Misclassification(y)
    if isinstance(y, type) or not isinstance(y, Criterion):
        check_labels(y, count, name="y")
    check_criterion(y)
    assert isinstance(y, Criterion)
    check_examples(y, count, device)
    return y


def _signed(met: Tensor) -> Tensor:
    return met.to(torch.get_default_dtype()) * 2 - 1
