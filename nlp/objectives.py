"""Training objectives on embedded sentences."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from robustsuite.arguments import check_callable
from robustsuite.errors import InvalidInput
from robustsuite.training import Loss, Objective, Progress

from .models import SentenceClassifier


@dataclass(frozen=True, slots=True)
class InEmbeddings:
    """Apply an objective to the network behind the embedding table; gradients reach the table as well.

    Args:
        objective: such as `Certified(perturbation=WordLinf(0.1))`.
    """

    objective: Objective

    def __post_init__(self) -> None:
        check_callable(self.objective, "objective", "a training objective such as Standard()")

    def __call__(
        self,
        model: nn.Module,
        x: Float[Tensor, "batch length"] | Int[Tensor, "batch length"],
        y: Int[Tensor, " batch"],
        progress: Progress,
    ) -> Loss:
        if not isinstance(model, SentenceClassifier):
            raise InvalidInput(f"model is a {type(model).__name__}; expected a SentenceClassifier")
        return self.objective(model.network, model.embed(x), y, progress)
