"""What a criterion is: it holds the data of a batch, says when an output meets it, and scores the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_callable, described
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


def raised(criterion: Criterion, loss: RowLoss, outputs: Tensor) -> Tensor:
    """Give what an attack with its own loss raises in place of the criterion's score.

    Raises:
        InvalidInput: the criterion has no labels that the loss could take.
    """
    if isinstance(criterion, BatchCriterion):
        return criterion.raised(loss, outputs)
    return BatchCriterion.raised(criterion, loss, outputs)  # type: ignore[arg-type]


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


def need_scores(criterion: object, outputs: Tensor) -> None:
    """Check that a model gives scores, for a criterion that compares them.

    Raises:
        InvalidInput: it gives class numbers.
    """
    if outputs.dim() == 1:
        raise InvalidInput(
            f"{type(criterion).__name__} compares scores, and the model gives class numbers; expected scores "
            "(batch, classes): take Misclassification(labels) or Targeted(labels)"
        )


def _name(loss: RowLoss) -> str:
    return getattr(loss, "__name__", type(loss).__name__)
