"""What all attacks share: checks, the active set (examples that are done leave the batch), counting queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robustsuite.arguments import check_callable, check_kind, check_labels, described
from robustsuite.attacks.criteria import Criterion, Targeted
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.perturbations import Perturbation, Region, features

Model = Callable[[Tensor], Tensor]

_STEEP = 1e15
"""Takes the place of an infinite gradient; its square is finite in float32."""


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


class NotANumber(InvalidInput, ArithmeticError):
    """A model gives NaN where nothing was perturbed: there is no class to attack."""


def checked_region(model: Model, x: Tensor, perturbation: Perturbation) -> Region:
    """Check what every attack takes, and bind the perturbation to the clean examples.

    Raises:
        InvalidInput: a model that cannot be called, no batch of examples, or no perturbation.
    """
    check_callable(
        model, "model", "a module, or a function from a batch of inputs to outputs (batch, classes)"
    )
    check_kind(
        perturbation,
        Perturbation,
        "perturbation",
        "a threat model such as Linf(0.1), not yet bound to a batch",
    )
    features.check_batch(x, "x")
    return perturbation.around(x.detach())


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
        check_labels(y, len(x), device=x.device)
        if isinstance(criterion, Targeted):
            check_labels(criterion.labels, len(x), name="target labels")
        self._model, self._y, self._criterion = model, y, criterion
        self._met = False  # whether the model was seen to take the examples and to give what is expected
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
            self._keep(index, inputs, self._outputs(inputs), loss)

    def gradient(self, index: Tensor, inputs: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Do as `try_inputs`, and give the gradient of the attack's objective at `inputs`."""
        inputs = inputs.detach().requires_grad_()
        with torch.enable_grad():
            outputs = self._outputs(inputs)
            objective = self._criterion.select(index).objective(loss, outputs, self._y[index])
            gradient = None
            if objective.requires_grad:
                (gradient,) = torch.autograd.grad(objective.sum(), inputs, allow_unused=True)
        if gradient is None:
            raise InvalidInput(
                "the model's outputs have no gradient by its input; expected a differentiable model: look for "
                "no_grad, detach, argmax or numpy in its forward"
            )
        self._keep(index, inputs.detach(), outputs.detach(), loss)
        # A step along NaN would leave the region: such a coordinate stays.
        return gradient.nan_to_num(nan=0.0, posinf=_STEEP, neginf=-_STEEP)

    def _outputs(self, inputs: Tensor) -> Tensor:
        """Run the model; the first time, on the clean examples, check what it gives."""
        if self._met:
            return self._model(inputs)
        outputs = first_outputs(self._model, inputs)
        check_labels(self._y, classes=outputs.shape[1])
        if isinstance(self._criterion, Targeted):
            check_labels(self._criterion.labels, classes=outputs.shape[1], name="target labels")
        bad = outputs.detach().isnan().any(1)
        if bool(bad.any()):
            raise NotANumber(
                f"the model gives NaN on the clean x, first in example {int(bad.nonzero()[0, 0])}; expected numbers: "
                "mend its weights, or leave that example out"
            )
        self._met = True
        return outputs

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


def first_outputs(model: Model, inputs: Tensor) -> Tensor:
    """Run a model for the first time.

    Raises:
        InvalidInput: it does not take such inputs, or gives something else than outputs (batch, classes).
    """
    try:
        outputs = model(inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, RobustsuiteError):
            raise
        own = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        has = f", its parameters are {own.dtype} on {own.device}" if own is not None else ""
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"the model does not take x of shape {tuple(inputs.shape)}, {inputs.dtype} on {inputs.device}{has} ({reason}); "
            "pass what it was made for, x.to(dtype) or x.to(device)"
        ) from error
    if (
        isinstance(outputs, Tensor)
        and outputs.dim() == 2
        and len(outputs) == len(inputs)
        and outputs.shape[1] > 1
    ):
        return outputs
    raise InvalidInput(
        f"the model gives {described(outputs)}; expected a tensor (batch, classes) with batch {len(inputs)} and two "
        "classes or more: wrap it in a module that returns the logits"
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
