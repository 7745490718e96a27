"""A network as a list of steps on one example: what every bound method walks over.

A `Program` is made anew from a `Graph` for each call (`Graph.bind`), with the parameters' present values in it.
Every tensor of the network is seen as that of ONE example, with the static shape of a trace at batch size 1;
all work is batched over one more axis in front. So the network may fold its batch axis into others
(attention heads), put it second (recurrent layers) or drop it, and no rule needs to know.

A step is `Affine` or `Nonlinear`, and nothing else.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes

Shape = tuple[int, ...]


class Affine(ABC):
    """An affine map of one or several tensors. Tensors have a free first axis: (rows, *shape)."""

    @abstractmethod
    def forward(self, *xs: Tensor) -> Tensor:
        """Apply the map."""

    @abstractmethod
    def interval(self, *xs: Bounds) -> Bounds:
        """Give the exact interval of each output over the box of the inputs."""

    @abstractmethod
    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        """Turn coefficients of the output into coefficients of each input (the constant left out)."""

    def planes(self, *xs: Planes) -> Planes:
        """Push planes forward: a negative coefficient of the map takes the plane of the other side.

        By default by `interval`, which is linear in the ends: applied to each column of the slopes, less the
        constant.
        """
        batch, inputs = xs[0].lower_slope.shape[:2]
        ends = self.interval(*(Bounds(x.lower_constant, x.upper_constant) for x in xs))
        columns = self.interval(
            *(Bounds(x.lower_slope.flatten(0, 1), x.upper_slope.flatten(0, 1)) for x in xs)
        )
        offset = self.offset()
        lower, upper = columns.lower, columns.upper
        if offset is not None:
            lower, upper = lower - offset, upper - offset
        return Planes(
            lower.unflatten(0, (batch, inputs)), ends.lower, upper.unflatten(0, (batch, inputs)), ends.upper
        )

    def offset(self) -> Tensor | None:
        """Give the map's value at zero, shape (batch or 1, *output), or None where it is zero."""
        return None

    def linear(self, *xs: Tensor) -> Tensor:
        """Apply the map without its constant; to be written anew where `offset` is not None."""
        assert self.offset() is None
        return self.forward(*xs)

    def terms(self) -> int | None:
        """Give how many products an output is the sum of, or a coefficient of the adjoint, whichever are more.

        None where that is not known to be less than the number of entries.
        """
        return None

    def keeps_features_apart(self) -> bool:
        """Say whether each output depends on one input entry, and each input entry feeds at most one output."""
        return False


@dataclass(frozen=True, slots=True)
class Thetas:
    """The free choices of a relaxation, each in [0, 1]: for lower planes and for upper planes.

    Shapes are (rows, specs or 1, *form), like the coefficients they are used with; None takes the default choice.
    """

    lower: Tensor | None = None
    upper: Tensor | None = None


class Nonlinear(ABC):
    """A map that is bounded by planes over the intervals of its inputs."""

    @abstractmethod
    def forward(self, *xs: Tensor) -> Tensor:
        """Apply the map to tensors of shape (rows, *shape)."""

    @abstractmethod
    def interval(self, *xs: Bounds) -> Bounds:
        """Give an interval of each output over the box of the inputs."""

    @abstractmethod
    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        """Replace the map by planes: a lower plane where the coefficient is positive, else an upper one.

        Args:
            form: coefficients of the output.
            inputs: bounds of the inputs, shape (batch, *shape).
            thetas: free choices.

        Returns:
            Coefficients of each input, and the constant, shape (rows, specs).
        """

    @abstractmethod
    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        """Push planes of the inputs forward, with the default planes of the map on the intervals `inputs`."""

    def layout(self, form: LinearForm) -> LinearForm:
        """Give the form in the layout that `backward` works in."""
        return form

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        """Say which entries of input `which` would profit from tighter bounds, shape (batch, *shape)."""
        return inputs[which].upper > inputs[which].lower

    def initial_thetas(self, inputs: Sequence[Bounds]) -> Thetas:
        """Give the choices that reproduce the default planes; None where there is nothing to choose."""
        return Thetas()


class Input:
    """A perturbed input: where linear forms meet the region."""

    def __init__(self, number: int) -> None:
        self.number = number


Op = Input | Affine | Nonlinear
Refine = Callable[[Sequence[Bounds]], Bounds]


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


class Program:
    """Steps in topological order; `output` is the last one that counts. Also what rules add steps to.

    Args:
        centers: the clean inputs, each (batch, *shape of one example).
        sound: whether bounds are to hold for the network as it is computed in floating point.
    """

    def __init__(self, centers: Sequence[Tensor], *, sound: bool = False) -> None:
        self.sound = sound
        self.steps: list[Step] = []
        self.where = "input"
        self._is_training: Callable[[], bool] | None = None
        self.convex_weights: set[int] = set()  # steps whose last axis holds weights >= 0 with sum 1
        self._values: dict[int, Tensor] = {}
        self.dtype = centers[0].dtype
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
        masked = masked or any(self.steps[i].masked and isinstance(self.steps[i].op, Affine) for i in inputs)
        self.steps.append(Step(op, inputs, shape, self.where, refine, refine_from, self.sound, masked))
        return Ref(len(self.steps) - 1, shape)

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

    def users(self) -> list[list[tuple[int, int]]]:
        """Give for each step the (step, position) pairs that take its output."""
        users: list[list[tuple[int, int]]] = [[] for _ in self.steps]
        for index, step in enumerate(self.steps):
            for position, source in enumerate(step.inputs):
                users[source].append((index, position))
        return users


class LinearMap(Affine):
    """A linear map with non-negative coefficients given as a function: slices, pools, sums, permutations ...

    Its interval applies the function to both ends; its adjoint is the function's vector-Jacobian product, which
    for a linear function is exact whatever the point.

    Args:
        function: linear, non-negative, acts on (rows, *shape of each input).
        shapes: of the inputs for one example.
        one_to_one: each output is one input entry, and no entry is used twice.
    """

    def __init__(
        self, function: Callable[..., Tensor], shapes: Sequence[Shape], *, one_to_one: bool = False
    ) -> None:
        self._function, self._shapes, self._one_to_one = function, tuple(shapes), one_to_one

    def forward(self, *xs: Tensor) -> Tensor:
        return self._function(*xs)

    def interval(self, *xs: Bounds) -> Bounds:
        if len(xs) == 1:
            return xs[0].mapped(self._function)
        return Bounds(self._function(*(x.lower for x in xs)), self._function(*(x.upper for x in xs)))

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        return tuple(dense.like(a) for a in vector_jacobian(self._function, dense.a, self._shapes))

    def keeps_features_apart(self) -> bool:
        return self._one_to_one

    def terms(self) -> int | None:
        return 1 if self._one_to_one else None


def vector_jacobian(
    function: Callable[..., Tensor], a: Tensor, shapes: Sequence[Shape]
) -> tuple[Tensor, ...]:
    """Multiply coefficients (rows, specs, *output) with a linear function's Jacobian, for each input.

    Differentiable in `a`, and in the tensors that `function` holds.
    """
    rows, specs = a.shape[:2]
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        # Where the function is linear, no value matters: one zero, seen as often as needed.
        zero = torch.zeros((), dtype=a.dtype, device=a.device)
        zeros = [zero.expand(rows * specs, *shape).requires_grad_() for shape in shapes]
        outputs = function(*zeros)
        grads = torch.autograd.grad(
            outputs, zeros, a.flatten(0, 1).reshape(outputs.shape), create_graph=differentiable
        )
    return tuple(g.view(rows, specs, *shape) for g, shape in zip(grads, shapes, strict=True))
