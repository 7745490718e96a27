"""What an attack seeks: a criterion holds the data of a batch, says when an output meets it, and scores the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_callable, check_kind, check_labels, check_number, described
from robustsuite.attacks import losses
from robustsuite.attacks.losses import RowLoss
from robustsuite.errors import InvalidInput


@runtime_checkable
class Criterion(Protocol):
    """Decides success from a model's outputs, and says which outputs come nearer to it.

    Outputs are scores (rows, classes), or class numbers (rows,) where the criterion understands them. The criterion
    holds one entry of its data (labels, reference outputs) for each row.
    """

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        """Say for each row whether the outputs are what is sought."""

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        """Give what an attack raises."""

    def select(self, index: Tensor) -> Criterion:
        """Keep the examples that `index` picks, in its order, each as often as it is named."""


class BatchCriterion(ABC):
    """What the suite's criteria share: ``a & b``, checks before the first query, and other losses in place of the score.

    Attributes:
        least_outputs: numbers that a model must give for each row: two classes, or less for what is not about classes.
    """

    __slots__ = ()
    least_outputs: ClassVar[int] = 2

    @abstractmethod
    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        """See `Criterion`."""

    @abstractmethod
    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        """See `Criterion`."""

    @abstractmethod
    def select(self, index: Tensor) -> Criterion:
        """See `Criterion`."""

    def __and__(self, other: Criterion) -> Both:
        return Both(self, other)

    def __rand__(self, other: Criterion) -> Both:
        return Both(other, self)

    @abstractmethod
    def check_examples(self, count: int, device: torch.device) -> None:
        """Check that the criterion holds data of `count` examples, on their device.

        Raises:
            InvalidInput: it does not.
        """

    @abstractmethod
    def check_outputs(self, outputs: Tensor) -> None:
        """Check that the criterion fits the outputs of the clean examples.

        Raises:
            InvalidInput: labels out of range, outputs of another width, class numbers where scores are needed.
        """

    def raised(self, loss: RowLoss, outputs: Tensor) -> Float[Tensor, " rows"]:
        """Give what an attack with its own loss raises in place of the score.

        Raises:
            InvalidInput: the criterion has no labels that a loss could take.
        """
        raise InvalidInput(
            f"{type(self).__name__} has no labels for the loss {_name(loss)}; expected a criterion of labels: take "
            "loss=None, which raises the criterion's own score"
        )


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
        _need_scores(self, outputs)
        check_labels(self.labels, classes=outputs.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Divergence(BatchCriterion):
    """The distribution of classes lies far from a reference's, whatever the labels.

    The score is ``KL(softmax(reference) || softmax(outputs))`` in nats, as in TRADES; its gradient is zero at the
    reference itself, so that attacks need a random start.

    Args:
        reference: logits, shape (batch, classes).
        threshold: met above it, >= 0; None: never met.

    Source: Zhang et al. 2019, equation 5.
    """

    reference: Tensor
    threshold: float | None = None

    def __post_init__(self) -> None:
        expected = "logits of shape (batch, classes)"
        check_kind(self.reference, Tensor, "reference", expected)
        if self.reference.dim() != 2 or not self.reference.is_floating_point():
            raise InvalidInput(f"reference is {described(self.reference)}; expected {expected}")
        check_number("threshold", self.threshold, least=0, optional=True)

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        if self.threshold is None:
            return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
        return self.score(outputs.detach()) > self.threshold

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        wanted, given = self.reference.detach().log_softmax(1), outputs.log_softmax(1)
        # A class that the reference rules out (a masked logit, -inf) adds nothing.
        return torch.where(wanted.isneginf(), 0.0, wanted.exp() * (wanted - given)).sum(1)

    def select(self, index: Tensor) -> Divergence:
        return Divergence(self.reference[index], self.threshold)

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.reference) != count or self.reference.device != device:
            raise InvalidInput(
                f"reference is {described(self.reference)} on {self.reference.device}; expected logits for {count} "
                f"examples on {device}"
            )

    def check_outputs(self, outputs: Tensor) -> None:
        _need_scores(self, outputs)
        if outputs.shape[1] != self.reference.shape[1]:
            raise InvalidInput(
                f"reference has {self.reference.shape[1]} classes and the model gives {outputs.shape[1]}; expected the "
                "logits of a model with the same classes"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Both(BatchCriterion):
    """Both criteria are met; the score is the smaller one. Written ``first & second``."""

    first: Criterion
    second: Criterion

    def __post_init__(self) -> None:
        check_criterion(self.first)
        check_criterion(self.second)

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        return self.first.met(outputs) & self.second.met(outputs)

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        return torch.minimum(self.first.score(outputs), self.second.score(outputs))

    def raised(self, loss: RowLoss, outputs: Tensor) -> Float[Tensor, " rows"]:
        return torch.minimum(raised(self.first, loss, outputs), raised(self.second, loss, outputs))

    def select(self, index: Tensor) -> Both:
        return Both(self.first.select(index), self.second.select(index))

    def check_examples(self, count: int, device: torch.device) -> None:
        check_examples(self.first, count, device)
        check_examples(self.second, count, device)

    def check_outputs(self, outputs: Tensor) -> None:
        check_outputs(self.first, outputs)
        check_outputs(self.second, outputs)


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


def raised(criterion: Criterion, loss: RowLoss, outputs: Tensor) -> Tensor:
    """Give what an attack with its own loss raises in place of the criterion's score.

    Raises:
        InvalidInput: the criterion has no labels that the loss could take.
    """
    if isinstance(criterion, BatchCriterion):
        return criterion.raised(loss, outputs)
    return BatchCriterion.raised(criterion, loss, outputs)  # type: ignore[arg-type]


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


def check_examples(criterion: Criterion, count: int, device: torch.device) -> None:
    """Check that a criterion holds data of `count` examples; a stranger's is taken at its word.

    Raises:
        InvalidInput: it does not.
    """
    if isinstance(criterion, BatchCriterion):
        criterion.check_examples(count, device)


def check_outputs(criterion: Criterion, outputs: Tensor) -> None:
    """Check that a criterion fits the outputs of the clean examples; a stranger's is taken at its word.

    Raises:
        InvalidInput: it does not.
    """
    if isinstance(criterion, BatchCriterion):
        criterion.check_outputs(outputs)


def check_criterion(value: object) -> None:
    """Check that a value is a criterion.

    Raises:
        InvalidInput: it is something else, or a class in the place of an object.
    """
    if isinstance(value, type) or not isinstance(value, Criterion):
        expected = "a criterion such as Misclassification(labels) or Targeted(labels)"
        raise InvalidInput(f"criterion is {described(value)}; expected {expected}")


def check_loss(loss: object) -> None:
    """Check what an attack raises; None is the criterion's own score.

    Raises:
        InvalidInput: it cannot be called.
    """
    if loss is not None:
        expected = "a function of (outputs, labels) from robustsuite.attacks.losses, or None"
        check_callable(loss, "loss", expected)


def _signed(met: Tensor) -> Tensor:
    return met.to(torch.get_default_dtype()) * 2 - 1


def _need_scores(criterion: object, outputs: Tensor) -> None:
    if outputs.dim() == 1:
        raise InvalidInput(
            f"{type(criterion).__name__} compares scores, and the model gives class numbers; expected scores "
            "(batch, classes): take Misclassification(labels) or Targeted(labels)"
        )


def _name(loss: RowLoss) -> str:
    return getattr(loss, "__name__", type(loss).__name__)
