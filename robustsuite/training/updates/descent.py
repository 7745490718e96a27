"""Descent: a step of an optimiser along the gradient of an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from robustsuite.arguments import check_callable, check_fields, check_kind
from robustsuite.errors import InvalidInput
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.training.objective import Objective
from robustsuite.training.optimizers import Adam, Optimizer
from robustsuite.training.update import Request, Running, Setting, Step, Update


def of_model(model: nn.Module, state: nn.Module) -> Iterable[nn.Parameter]:
    """Give the parameters of the model."""
    return model.parameters()


def of_state(model: nn.Module, state: nn.Module) -> Iterable[nn.Parameter]:
    """Give the parameters of the objective's state, such as learned label distributions."""
    return state.parameters()


@dataclass(frozen=True, slots=True)
class Descent(Update):
    """One step of an optimiser against an objective's gradient on the batch.

    Args:
        objective: what to minimise.
        optimizer: such as `Adam(rate=1e-3)`.
        gradient_norm: longer gradients are cut to this L2 norm; None cuts nothing.
        accumulate: parts that a batch is worked on in, one after the other, >= 1: less memory, and the gradient of the
            whole batch (batch norm sees the parts).
        parameters: which ones move: `of_model`, or a function of the model and the objective's state.

    Raises:
        InvalidInput: a value outside its range; at the start, nothing to train, or more parts than examples.
    """

    objective: Objective
    optimizer: Optimizer = Adam()
    gradient_norm: float | None = None
    accumulate: int = 1
    parameters: Callable[[nn.Module, nn.Module], Iterable[nn.Parameter]] = of_model

    def __post_init__(self) -> None:
        check_kind(self.objective, Objective, "objective", "a training objective such as Standard()")
        check_callable(self.optimizer, "optimizer", "an optimiser such as Adam(rate=1e-3)")
        check_fields(self, "gradient_norm", above=0, optional=True)
        check_fields(self, "accumulate", integer=True, least=1)
        check_callable(self.parameters, "parameters", "a function such as of_model")

    def start(self, setting: Setting, state: nn.Module | None = None) -> Running:
        """See `Update`.

        Args:
            setting: the model and the data.
            state: of the objective, where several updates share it; None makes one.
        """
        if self.accumulate > setting.batch_size:
            raise InvalidInput(
                f"accumulate is {self.accumulate} with batches of {setting.batch_size}; expected at most as many parts "
                "as examples"
            )
        return _Descent(self, setting.model, setting.state(self.objective) if state is None else state)


class _Descent(Running):
    def __init__(self, settings: Descent, model: nn.Module, state: nn.Module) -> None:
        self._settings, self._model, self._state = settings, model, state
        self._parameters = [p for p in settings.parameters(model, state) if p.requires_grad]
        if not self._parameters:
            raise InvalidInput(
                "the model has no parameters that require a gradient; expected at least one to train"
            )
        self._optimizer = settings.optimizer(self._parameters)
        self._rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        limit = settings.gradient_norm
        self._limit = math.inf if limit is None else limit

    def step(self, step: Step) -> dict[str, float]:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * step.rate
        scalars = step.gradients(
            Request(
                objective=self._settings.objective,
                model=self._model,
                state=self._state,
                parameters=self._parameters,
                parts=self._settings.accumulate,
            )
        )
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._limit)
        found = step.finite({**scalars, "gradient_norm": norm})
        self._optimizer.step()
        return {**found, "rate": float(self._optimizer.param_groups[0]["lr"])}

    def checkpoint(self) -> Checkpoint:
        return checkpoints.flatten_optimizer(self._optimizer)

    def restore(self, saved: Checkpoint) -> None:
        checkpoints.restore_optimizer(self._optimizer, saved)
