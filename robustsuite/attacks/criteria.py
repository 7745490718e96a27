"""What counts as adversarial: a criterion says it for a whole batch, and which way an attack should push."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_callable, check_labels, described
from robustsuite.attacks.losses import Loss
from robustsuite.errors import InvalidInput


@runtime_checkable
class Criterion(Protocol):
    """Decides success from a model's outputs, and turns a loss into what the attack maximises."""

    def met(self, outputs: Tensor, y: Tensor) -> Bool[Tensor, " batch"]:
        """Say for each example whether the outputs are adversarial."""

    def objective(self, loss: Loss, outputs: Tensor, y: Tensor) -> Float[Tensor, " batch"]:
        """Give what the attack maximises."""

    def select(self, index: Tensor) -> Criterion:
        """Keep the examples that `index` picks."""


def check_parts(loss: object, criterion: object) -> None:
    """Check what an attack maximises and what it counts as adversarial.

    Raises:
        InvalidInput: a loss that cannot be called, or something that is no criterion.
    """
    check_callable(loss, "loss", "a function of (outputs, y) from robustsuite.attacks.losses")
    if isinstance(criterion, type) or not isinstance(criterion, Criterion):
        expected = "a criterion such as Misclassification() or Targeted(labels)"
        raise InvalidInput(f"criterion is {described(criterion)}; expected {expected}")


@dataclass(frozen=True, slots=True)
class Misclassification:
    """The predicted class is not the label. NaN outputs count as adversarial."""

    def met(self, outputs: Tensor, y: Tensor) -> Bool[Tensor, " batch"]:
        return (outputs.argmax(1) != y) | outputs.isnan().any(1)

    def objective(self, loss: Loss, outputs: Tensor, y: Tensor) -> Float[Tensor, " batch"]:
        return loss(outputs, y)

    def select(self, index: Tensor) -> Misclassification:
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Targeted:
    """The predicted class is the wanted one.

    Args:
        labels: wanted class of each example, shape (batch,).
    """

    labels: Tensor

    def __post_init__(self) -> None:
        check_labels(self.labels, name="target labels")

    def met(self, outputs: Tensor, y: Tensor) -> Bool[Tensor, " batch"]:
        return outputs.argmax(1) == self.labels.to(outputs.device)

    def objective(self, loss: Loss, outputs: Tensor, y: Tensor) -> Float[Tensor, " batch"]:
        return -loss(outputs, self.labels.to(outputs.device))

    def select(self, index: Tensor) -> Targeted:
        return Targeted(self.labels.to(index.device)[index])
