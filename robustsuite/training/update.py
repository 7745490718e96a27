"""What one step of training does with objectives: updates, and the question that they ask of the loop.

An update is a frozen dataclass of hyper-parameters. `Update.start` makes a `Running` one, which holds what lasts (an
optimiser, averages). Its `step` asks ``step.gradients(Request(...))`` as often as it likes: each answer is the
gradient of an objective on the whole batch, over all processes, with the same random numbers. A wrapper changes what
the wrapped update is told (`AWP`), or does something with what it has done (`Averaged`): neither knows the other.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from robustsuite import seeding
from robustsuite.errors import TrainingDiverged
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.training.data import Batch
from robustsuite.training.objective import Findings, Objective, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question for a gradient.

    Attributes:
        objective: whose loss.
        model: what it is called on.
        state: of the objective.
        parameters: that the gradient is by: their `grad` is replaced. All others stand still.
        batch: to take in place of the step's own, such as this process' part of another step's.
        parts: pieces that the batch is worked on in, one after the other; the gradient is that of the whole.
        keep: whether buffers (statistics of batch norm, the objective's state) may be left changed.
        findings: what the objective found when the same was asked before; None: it searches anew.
    """

    objective: Objective
    model: nn.Module
    state: nn.Module
    parameters: Sequence[nn.Parameter]
    batch: Batch | None = None
    parts: int = 1
    keep: bool = True
    findings: Findings | None = None


Gradients = Callable[["Request", int], dict[str, Tensor]]
"""Answers a request with the loss and its terms, by name; the number tells one draw of random numbers from another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step, as an update sees it.

    Attributes:
        batch: this process' part of the batch.
        progress: where training is.
        rate: factor on learning rates.
        answer: gives gradients; use `gradients`.
        draw: which of the step's random numbers are drawn, >= 0.
    """

    batch: Batch
    progress: Progress
    rate: float
    answer: Gradients
    draw: int = 0

    def gradients(self, request: Request) -> dict[str, Tensor]:
        """Put the gradient into the parameters' `grad`, and give the loss ("loss") and its terms.

        The same request gives the same answer: attacks start where they did, dropout drops what it did.
        """
        return self.answer(request, self.draw)

    def again(self, draw: int) -> Step:
        """Give this step with random numbers of its own: a replay of the same batch."""
        return replace(self, draw=draw)

    def finite(self, scalars: Mapping[str, Tensor]) -> dict[str, float]:
        """Give scalars as numbers: the one place where a step waits for the device.

        Raises:
            TrainingDiverged: one is NaN or infinite; the message names the step and the term.
        """
        numbers = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
        found = dict(zip(scalars, numbers, strict=True))
        # The terms first: the loss is NaN because one of them is, the gradient because the loss is.
        for name in sorted(
            found,
            key=lambda name: (
                ("loss", "gradient_norm").index(name) if name in ("loss", "gradient_norm") else -1
            ),
        ):
            if not math.isfinite(found[name]):
                what = "the gradient's norm" if name == "gradient_norm" else f"term '{name}'"
                raise diverged(self.progress.step, what, found[name])
        return found


def diverged(step: int, what: str, value: float) -> TrainingDiverged:
    """Give the error of a training that has left the finite numbers."""
    return TrainingDiverged(
        f"{what} became {value} at step {step}; lower the learning rate, cut gradients with gradient_norm, "
        "or let the radius grow more slowly"
    )


@dataclass(slots=True, kw_only=True)
class Setting:
    """What an update starts with.

    Attributes:
        model: on its device.
        examples: in the data.
        batch_size: examples per step, over all processes.
        device: of this process.
        seed: of the training.
        states: of the objectives so far; saved with the run.
    """

    model: nn.Module
    examples: int
    batch_size: int
    device: torch.device
    seed: int
    states: nn.ModuleList = field(default_factory=nn.ModuleList)

    def state(self, objective: Objective) -> nn.Module:
        """Make an objective's state on the device; it is saved and resumed with the training."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seeding.derive(self.seed, "state", len(self.states)))
            state = objective.state(self.model, self.examples).to(self.device)
        self.states.append(state)
        return state


class Running(ABC):
    """An update at work. One that holds nothing but the objectives' state has nothing to save."""

    @abstractmethod
    def step(self, step: Step) -> dict[str, float]:
        """Change the model by a step, and give scalars to log, by name."""

    def weights(self) -> Mapping[str, Tensor] | None:
        """Give the state dictionary to validate and to save in place of the model's own, if there is one."""
        return None

    def checkpoint(self) -> Checkpoint:
        """Give what a resumed training needs, but for the model and the objectives' states."""
        return Checkpoint()

    def restore(self, saved: Checkpoint) -> None:  # noqa: B027  nothing to restore is usual
        """Put back what `checkpoint` gave."""


class Update(ABC):
    """A frozen dataclass of hyper-parameters: what one step of training does."""

    @abstractmethod
    def start(self, setting: Setting) -> Running:
        """Make the update at work on a model."""
