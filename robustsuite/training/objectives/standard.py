"""Standard training: cross entropy on clean examples."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from robustsuite.training.objective import Loss, Progress


@dataclass(frozen=True, slots=True)
class Standard:
    """Mean cross entropy."""

    def __call__(
        self,
        model: nn.Module,
        x: Shaped[Tensor, "batch *input"],
        y: Int[Tensor, " batch"],
        progress: Progress,
    ) -> Loss:
        return Loss(total=functional.cross_entropy(model(x), y))
