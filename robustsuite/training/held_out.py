"""What chooses among a training's weights: a part of the training data that is held out, and what is measured on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from robustsuite import attacks, bounds, seeding
from robustsuite.arguments import check_callable, check_fields, check_kind
from robustsuite.perturbations import Perturbation
from robustsuite.training.data import Batch, Subset, TensorData, hold_out


@runtime_checkable
class Measure(Protocol):
    """Says of each example whether a model in evaluation mode stands it."""

    def __call__(self, model: nn.Module, batch: Batch) -> Bool[Tensor, " batch"]:
        """Measure one batch; the share of True is what weights are chosen by."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The predicted class is the label."""

    def __call__(self, model: nn.Module, batch: Batch) -> Bool[Tensor, " batch"]:
        with torch.no_grad():
            found: Tensor = model(batch.x).argmax(1) == batch.labels
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustAccuracy:
    """An attack finds no input of another class. Its random numbers are the same in each validation.

    Args:
        perturbation: the threat model.
        attack: such as `attacks.PGD(steps=10)`.
    """

    perturbation: Perturbation
    attack: attacks.Attack = attacks.PGD(steps=10)

    def __post_init__(self) -> None:
        check_kind(self.perturbation, Perturbation, "perturbation", "a threat model such as Linf(0.1)")
        check_kind(self.attack, attacks.Attack, "attack", "an attack such as attacks.PGD(steps=10)")

    def __call__(self, model: nn.Module, batch: Batch) -> Bool[Tensor, " batch"]:
        seeds = seeding.numbered_seeds(0, "validation", numbers=batch.index)
        found = self.attack(model, batch.x.detach(), batch.labels, self.perturbation, generator=seeds)
        return ~found.success


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedAccuracy:
    """It is proved that no input in the region has another class.

    Args:
        perturbation: the threat model.
        method: of the bounds, such as `bounds.ibp`.
    """

    perturbation: Perturbation
    method: bounds.Method = bounds.ibp

    def __post_init__(self) -> None:
        check_kind(self.perturbation, Perturbation, "perturbation", "a threat model such as Linf(0.1)")
        check_callable(self.method, "method", "a method such as bounds.ibp")

    def __call__(self, model: nn.Module, batch: Batch) -> Bool[Tensor, " batch"]:
        with torch.no_grad():
            graph, region = bounds.trace(model, batch.x), self.perturbation.around(batch.x.detach())
            return bounds.certified(graph, region, batch.labels, method=self.method)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Hold out a part of the training data, and keep the weights that are best on it.

    Args:
        measure: what must be true of as many held-out examples as possible: `Accuracy`, `RobustAccuracy`,
            `CertifiedAccuracy`, or any `Measure`.
        share: of each class that is held out, in (0, 1).
        batch_size: examples that are measured at once, >= 1.

    Raises:
        InvalidInput: a value outside its range.
    """

    measure: Measure = Accuracy()
    share: float = 0.1
    batch_size: int = 256

    def __post_init__(self) -> None:
        check_callable(self.measure, "measure", "a measure such as Accuracy()")
        check_fields(self, "share", above=0, below=1)
        check_fields(self, "batch_size", integer=True, least=1)

    def split(self, data: TensorData, *, seed: int) -> tuple[Subset, Callable[[nn.Module], float]]:
        """Give the data to train on, and what `fit` takes as `validate`.

        Args:
            data: all training examples, with class indices.
            seed: of the draw, >= 0.

        Raises:
            InvalidInput: a class with too few examples.
        """
        kept, held = hold_out(data.y, share=self.share, seed=seed)
        stream = seeding.generator(seed, "held out")

        def validate(model: nn.Module) -> float:
            device = next(model.parameters()).device
            batches = (
                data.batch(index, generator=stream).to(device) for index in held.split(self.batch_size)
            )
            return sum(int(self.measure(model, batch).sum()) for batch in batches) / len(held)

        return Subset(data, kept), validate
