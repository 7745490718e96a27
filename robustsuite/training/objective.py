"""What a training objective is: a function of (model, batch, progress) that gives a loss with named terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.arguments import check_callable, check_kind
from robustsuite.bounds import Graph
from robustsuite.perturbations import Perturbation


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What an objective gives for a batch.

    Attributes:
        total: the scalar to minimise.
        terms: its parts and other scalars of interest, by name; logged, and checked to be finite.
    """

    total: Float[Tensor, ""]
    terms: Mapping[str, Float[Tensor, ""]] = field(default_factory=dict)


class Graphs:
    """The traced graphs of a training run: each module is traced once, for each shape of one example.

    Parameters are live in a graph, so that one trace serves all steps.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[int, ...]], tuple[nn.Module, Graph]] = {}

    def of(self, model: nn.Module, example: Float[Tensor, "batch *input"]) -> Graph:
        """Give the graph of `model` for inputs such as `example`."""
        key = (id(model), tuple(example.shape[1:]))
        if key not in self._known:
            # The module is kept with its graph, so that no other can come to have its id.
            self._known[key] = (model, bounds.trace(model, example.detach()))
        return self._known[key][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training is, and what belongs to this step.

    Attributes:
        step: updates made so far, >= 0.
        steps: updates of the whole training.
        steps_per_epoch: updates in one pass over the data.
        generator: this step's own random stream (on the CPU): a function of the seed and the step.
        graphs: traced graphs, kept from step to step.
    """

    step: int
    steps: int
    steps_per_epoch: int
    generator: torch.Generator = field(default_factory=torch.Generator, compare=False)
    graphs: Graphs = field(default_factory=Graphs, compare=False)

    @property
    def epoch(self) -> float:
        """Passes over the data so far; 2.5 is the middle of the third."""
        return self.step / self.steps_per_epoch

    @property
    def fraction(self) -> float:
        """The part of training that is done, in [0, 1]."""
        return self.step / self.steps


def check_threat(perturbation: object, radius: object) -> None:
    """Check the threat model of an objective, and the schedule of its radius.

    Raises:
        InvalidInput: something else, such as a radius alone.
    """
    check_kind(perturbation, Perturbation, "perturbation", "a threat model such as Linf(0.1)")
    check_callable(radius, "radius", "a schedule of the radius' factor, such as Linear(length=10)")


@runtime_checkable
class Objective(Protocol):
    """A frozen dataclass of hyper-parameters that is called on a batch."""

    def __call__(
        self,
        model: nn.Module,
        x: Shaped[Tensor, "batch *input"],
        y: Int[Tensor, " batch"],
        progress: Progress,
    ) -> Loss:
        """Give the loss of `model` on the examples `x` with labels `y`.

        It is the mean of a loss of each example, so that batches may be split over processes.
        """
