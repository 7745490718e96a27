"""What a training objective is: a function of (model, batch, progress, state) that gives a loss with named terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustsuite import bounds, seeding
from robustsuite.arguments import check_callable, check_kind
from robustsuite.bounds import Graph
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.training.data import Batch

_Found = TypeVar("_Found")


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


class Findings:
    """What an objective found at one request (adversarial examples ...), in order, for the next request of the same batch."""

    def __init__(self) -> None:
        self._found: list[tuple[Tensor, Any]] = []
        self._next = 0

    def again(self) -> Findings:
        """Begin with the first one again."""
        self._next = 0
        return self

    def once(self, index: Int[Tensor, " batch"], find: Callable[[], _Found]) -> _Found:
        """Give what was found at this place of the request before it; else find it. See `Progress.once`."""
        place, self._next = self._next, self._next + 1
        if place < len(self._found) and torch.equal(self._found[place][0], index):
            known: _Found = self._found[place][1]
            return known
        found = find()
        self._found[place:] = [(index, found)]  # what came after it belongs to another course
        return found


def no_other_batches(step: int) -> Batch:
    """Refuse: outside of `fit` there is one batch."""
    raise InvalidInput(f"got no batch of step {step}; expected a training by fit, which has the data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where training is, and what belongs to this step.

    Attributes:
        step: updates made so far, >= 0.
        steps: updates of the whole training.
        steps_per_epoch: updates in one pass over the data.
        seed: of what is drawn in this step: a function of the training's seed, the step and the draw.
        graphs: traced graphs, kept from step to step.
        batch: gives the batch of another step of this training (of this process' part), for looking ahead or back.
        findings: of the request before this one, where an update asks about a batch twice; use `once`.
    """

    step: int
    steps: int
    steps_per_epoch: int
    seed: int = 0
    graphs: Graphs = field(default_factory=Graphs, compare=False)
    batch: Callable[[int], Batch] = field(default=no_other_batches, compare=False)
    findings: Findings | None = field(default=None, compare=False)

    @property
    def epoch(self) -> float:
        """Passes over the data so far; 2.5 is the middle of the third."""
        return self.step / self.steps_per_epoch

    @property
    def fraction(self) -> float:
        """The part of training that is done, in [0, 1]."""
        return self.step / self.steps

    def seeds(self, index: Int[Tensor, " batch"], name: str) -> seeding.ExampleSeeds:
        """Give seeds, for an attack or for `robustsuite.seeding.uniform`, that belong to the step and the examples.

        What they give does not depend on how the batch is split over processes, or into parts.

        Args:
            index: places of the examples in the data.
            name: of what is drawn, such as "labels".
        """
        return seeding.numbered_seeds(self.seed, name, numbers=index)

    def once(self, index: Int[Tensor, " batch"], find: Callable[[], _Found]) -> _Found:
        """Give what a search finds. An update that asks about a batch again may spare a second one, as AWP does.

        Args:
            index: places of the examples in the data.
            find: searches, and gives tensors that no gradient runs through.
        """
        return find() if self.findings is None else self.findings.once(index, find)


def check_threat(perturbation: object, radius: object) -> None:
    """Check the threat model of an objective, and the schedule of its radius.

    Raises:
        InvalidInput: something else, such as a radius alone.
    """
    check_kind(perturbation, Perturbation, "perturbation", "a threat model such as Linf(0.1)")
    check_callable(radius, "radius", "a schedule of the radius' factor, such as Linear(length=10)")


class Objective(ABC):
    """A frozen dataclass of hyper-parameters that is called on a batch. One without state is one method."""

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        """Make what the objective remembers from step to step: none, unless an objective says otherwise.

        Training moves it to its device, saves it in checkpoints and gives it to every call. Buffers are for the
        objective to change (those with a row for each example stand in a
        `robustsuite.training.PerExample`), parameters for an update to optimise.

        Args:
            model: to be trained, on its device.
            examples: in the data; `Batch.index` lies in [0, examples).
        """
        return nn.Module()

    @abstractmethod
    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        """Give the loss of `model` on a batch.

        It is the mean of a loss of each example, so that batches may be split over processes.
        """
