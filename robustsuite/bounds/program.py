"""A network as a list of steps on one example: what every bound method walks over.

A `Program` is made from a `Graph` for each call (`Graph.bind`), with the parameters' present values in it; steps that
depend on no value are kept from call to call.
Every tensor of the network is seen as that of ONE example, with the static shape of a trace at batch size 1;
all work is batched over one more axis in front. So the network may fold its batch axis into others
(attention heads), put it second (recurrent layers) or drop it, and no rule needs to know.

A step is `Affine` or `Nonlinear`, and nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from robustsuite.bounds.forms.linear_form import Shape
from robustsuite.bounds.operations import Affine, Input, Nonlinear, Op, Refine


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor that depends on the input: the output of step `index`, of static shape `shape`.

    Attributes:
        index: of the step.
        shape: of one example.
        dtype: what the network keeps the tensor in; steps themselves compute in the dtype of the inputs.
        masked: which entries stand for minus infinity, shape `shape` (see `robustsuite.bounds.rules.masks`); None: none.
    """

    index: int
    shape: Shape
    dtype: torch.dtype | None = None
    masked: Tensor | None = field(default=None, compare=False)

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation of a program.

    Attributes:
        op: what is done.
        inputs: indices of the steps whose outputs it takes.
        shape: of the output for one example.
        where: the operator and the module it came from, for messages.
        refine: another interval of the output, from the intervals of the steps `refine_from`, to intersect with.
        sound: whether bounds are to hold for the step as it is computed in floating point.
        masked: whether entries, of an affine step's output or of a nonlinear one's inputs, may stand for minus infinity.
    """

    op: Op
    inputs: tuple[int, ...]
    shape: Shape
    where: str
    refine: Refine | None = None
    refine_from: tuple[int, ...] = ()
    sound: bool = False
    masked: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """What follows from a program's steps alone, whatever the parameters and the region.

    Attributes:
        users: for each step the (step, position) pairs that take its output.
        released: for each step, whose intervals nobody needs any more once its own is known: most of the memory of
            deep networks. Needed to the end are those of the inputs of nonlinear steps (planes are made from them), of
            the output, and those that the output is an affine function of.
        moved: for which steps each entry comes from one entry of an input, so that intervals are exact.
        largest: for each step, the entries of the largest one up to it.
        has_choice: whether some step has a second choice of planes (`Nonlinear.alternative`).
    """

    users: tuple[tuple[tuple[int, int], ...], ...]
    released: tuple[tuple[int, ...], ...]
    moved: tuple[bool, ...]
    largest: tuple[int, ...]
    has_choice: bool


class Program:
    """Steps in topological order; `output` is the last one that counts. Also what rules add steps to.

    Args:
        centers: the clean inputs, each (batch, *shape of one example).
        sound: whether bounds are to hold for the network as it is computed in floating point.

    Attributes:
        dtype, device: of the inputs, in which all steps compute.
        convex_weights: steps whose last axis holds weights >= 0 with sum 1.
        asked: whether a clean value or a module's mode was asked for.
    """

    def __init__(self, centers: Sequence[Tensor], *, sound: bool = False) -> None:
        self.sound = sound
        self.steps: list[Step] = []
        self.where = "input"
        self._is_training: Callable[[], bool] | None = None
        self.convex_weights: set[int] = set()
        self.asked = False
        self._values: dict[int, Tensor] = {}
        self._structure: Structure | None = None
        self.dtype, self.device = centers[0].dtype, centers[0].device
        for number, center in enumerate(centers):
            ref = self._append(Input(number), (), tuple(center.shape[1:]))
            self._values[ref.index] = center
        self.output = len(self.steps) - 1

    def begin(self, where: str, is_training: Callable[[], bool]) -> None:
        """Say which operator the next steps belong to, and how to learn whether its module is being trained."""
        self.where, self._is_training = where, is_training

    @property
    def training(self) -> bool:
        """Say whether the module that the present operator came from is in training mode."""
        self.asked = True
        return self._is_training is not None and self._is_training()

    def _append(
        self,
        op: Op,
        inputs: tuple[int, ...],
        shape: Shape,
        refine: Refine | None = None,
        refine_from: tuple[int, ...] = (),
        masked: bool = False,
    ) -> Ref:
        self._structure = None
        masked = masked or any(self.steps[i].masked and isinstance(self.steps[i].op, Affine) for i in inputs)
        self.steps.append(Step(op, inputs, shape, self.where, refine, refine_from, self.sound, masked))
        return Ref(len(self.steps) - 1, shape)

    def extend(self, steps: Sequence[Step], output: int, structure: Structure | None) -> None:
        """Take over steps that were written before, and what is known of them."""
        self.steps.extend(steps)
        self.output, self._structure = output, structure

    def emit(
        self,
        op: Affine | Nonlinear,
        *inputs: Ref,
        shape: Shape,
        refine: Refine | None = None,
        refine_from: Sequence[Ref] = (),
        masked: bool = False,
    ) -> Ref:
        """Add a step and give its output.

        Args:
            op: what is done.
            inputs: what it takes.
            shape: of its output for one example.
            refine: another sound interval of the output, from those of `refine_from`: what is known of a
                composed operator as a whole (a softmax lies in [0, 1]).
            masked: whether it puts placeholders of minus infinity into the output.
        """
        return self._append(
            op,
            tuple(r.index for r in inputs),
            tuple(shape),
            refine,
            tuple(r.index for r in refine_from),
            masked,
        )

    def value(self, ref: Ref) -> Tensor:
        """Give the clean value of `ref`, shape (batch, *shape). Computed when asked for, once."""
        self.asked = True
        missing: set[int] = set()
        pending = [ref.index]
        while pending:
            index = pending.pop()
            if index not in self._values and index not in missing:
                missing.add(index)
                pending.extend(self.steps[index].inputs)
        for index in sorted(missing):
            step = self.steps[index]
            assert not isinstance(step.op, Input)
            self._values[index] = step.op.forward(*(self._values[i] for i in step.inputs))
        return self._values[ref.index]

    @property
    def structure(self) -> Structure:
        """Give what follows from the steps alone, once."""
        if self._structure is None:
            sizes = (math.prod(step.shape) for step in self.steps)
            self._structure = Structure(
                users=self._users(),
                released=self._released(),
                moved=self._moved(),
                largest=tuple(itertools.accumulate(sizes, max)),
                has_choice=any(isinstance(s.op, Nonlinear) and s.op.has_alternative for s in self.steps),
            )
        return self._structure

    def _users(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        users: list[list[tuple[int, int]]] = [[] for _ in self.steps]
        for index, step in enumerate(self.steps):
            for position, source in enumerate(step.inputs):
                users[source].append((index, position))
        return tuple(map(tuple, users))

    def _released(self) -> tuple[tuple[int, ...], ...]:
        steps = self.steps
        freed: list[list[int]] = [[] for _ in steps]
        if self.sound:
            return tuple(map(tuple, freed))  # rounding looks at all of them
        kept = {self.output}
        last = list(range(len(steps)))
        for index, step in enumerate(steps):
            if isinstance(step.op, Nonlinear):
                kept.update(step.inputs)
            for i in (*step.inputs, *step.refine_from):
                last[i] = index
        pending = [self.output]
        while pending:
            step = steps[pending.pop()]
            if isinstance(step.op, Affine):
                kept.update(step.inputs)
                pending.extend(step.inputs)
        for i, index in enumerate(last):
            if i not in kept:
                freed[index].append(i)
        return tuple(map(tuple, freed))

    def _moved(self) -> tuple[bool, ...]:
        moved: list[bool] = []
        for step in self.steps:
            alone = isinstance(step.op, Affine) and len(step.inputs) == 1 and moved[step.inputs[0]]
            moved.append(
                isinstance(step.op, Input)
                or (alone and isinstance(step.op, Affine) and step.op.keeps_features_apart())
            )
        return tuple(moved)
