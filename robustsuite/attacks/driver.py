"""What all attacks share: checks, the active set (examples that are done leave the batch), counting queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robustsuite.attacks.criteria import Criterion
from robustsuite.errors import InvalidInput
from robustsuite.perturbation import Perturbation, Region

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackResult:
    """What an attack found.

    Attributes:
        adversarial: shape (batch, *input): the adversarial example where there is one, else the best try.
        success: whether the model is wrong (by the attack's criterion) on `adversarial`.
        distance: of `adversarial` to the clean input, in the perturbation's norm and in input units.
        queries: how often the model was run on this example (a gradient counts as one).
    """

    adversarial: Float[Tensor, "batch *input"]
    success: Bool[Tensor, " batch"]
    distance: Float[Tensor, " batch"]
    queries: Int[Tensor, " batch"]


@runtime_checkable
class Attack(Protocol):
    """A frozen dataclass of hyper-parameters that is called on a batch."""

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "batch *input"],
        y: Int[Tensor, " batch"],
        perturbation: Perturbation,
        *,
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        """Attack `model` on the examples `x` with labels `y` inside `perturbation`."""


class Search:
    """The state of one attack on one batch: best inputs so far, who is done, and the queries spent.

    Args:
        model: callable from a batch of inputs to outputs (batch, classes).
        x, y: the clean examples and their labels.
        region: the allowed inputs.
        criterion: what counts as adversarial.

    Raises:
        InvalidInput: `y` is not one class index per example.
    """

    def __init__(self, model: Model, x: Tensor, y: Tensor, region: Region, criterion: Criterion) -> None:
        if y.shape != (len(x),) or y.is_floating_point():
            way_out = "; for one-hot labels pass labels.argmax(1)" if y.dim() == 2 else ""
            raise InvalidInput(
                f"labels have shape {tuple(y.shape)} and dtype {y.dtype}; "
                f"expected (batch,) = ({len(x)},) class indices{way_out}"
            )
        self._model, self._y, self._criterion = model, y, criterion
        self.region = region
        self.best = x.detach().clone()
        self.success = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self._score = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
        self._queries = torch.zeros(len(x), dtype=torch.int64, device=x.device)

    def active(self) -> Tensor:
        """Give the indices of the examples that are not adversarial yet."""
        return (~self.success).nonzero().squeeze(1)

    def try_inputs(self, index: Tensor, inputs: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Run the model on `inputs` for the examples `index` and keep those that are better."""
        with torch.no_grad():
            self._keep(index, inputs, self._model(inputs), loss)

    def gradient(self, index: Tensor, inputs: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Do as `try_inputs`, and give the gradient of the attack's objective at `inputs`."""
        inputs = inputs.detach().requires_grad_()
        with torch.enable_grad():
            outputs = self._model(inputs)
            objective = self._criterion.select(index).objective(loss, outputs, self._y[index])
            (gradient,) = torch.autograd.grad(objective.sum(), inputs)
        self._keep(index, inputs.detach(), outputs.detach(), loss)
        return gradient

    def _keep(
        self, index: Tensor, inputs: Tensor, outputs: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        criterion, y = self._criterion.select(index), self._y[index]
        score, met = criterion.objective(loss, outputs, y), criterion.met(outputs, y)
        better = (met & ~self.success[index]) | (~self.success[index] & (score > self._score[index]))
        at = index[better]
        self.best[at] = inputs[better]
        self._score[at] = score[better].to(self._score.dtype)
        self.success[at] |= met[better]
        self._queries[index] += 1

    def result(self) -> AttackResult:
        """Give what was found so far."""
        return AttackResult(
            adversarial=self.best,
            success=self.success,
            distance=self.region.distance(self.best),
            queries=self._queries,
        )


@contextmanager
def frozen_parameters(model: Model) -> Iterator[None]:
    """Keep a module's parameters out of the attack's graphs: half the memory, and no gradient reaches them."""
    parameters = [p for p in model.parameters() if p.requires_grad] if isinstance(model, nn.Module) else []
    try:
        for p in parameters:
            p.requires_grad_(False)
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)
