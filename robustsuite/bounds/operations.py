"""What a step of a program does: an affine map or one that is bounded by planes, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm, Shape
from robustsuite.bounds.forms.planes import Planes
from robustsuite.errors import UnsupportedOperator

T = TypeVar("T")


class Writer(ABC, Generic[T]):
    """Writes the steps of a Jacobian. A `T` is a tensor in it: the output of a step, or a constant.

    Rows are coefficients of a step's output, shape (rows, *shape).
    """

    @abstractmethod
    def transposed(self, op: Affine, which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        """Multiply rows with an affine map, from its output to its input `which`."""

    @abstractmethod
    def multiplied(self, factor: T, rows: T) -> T:
        """Multiply each row with a factor of its shape."""

    @abstractmethod
    def applied(self, op: Nonlinear, x: T) -> T:
        """Apply an operation that keeps the shape."""

    @abstractmethod
    def scaled(self, x: T, factor: float) -> T:
        """Multiply with a number."""

    @abstractmethod
    def matrix_product(self, x: T, y: T) -> T:
        """Give x @ y."""

    @abstractmethod
    def swapped(self, x: T) -> T:
        """Swap the last two axes."""

    @abstractmethod
    def softmax(self, x: T) -> T:
        """Give the softmax over the last axis."""

    @abstractmethod
    def spread(self, weights: T, rows: T) -> T:
        """Multiply each row's entries with weights that have one axis more."""


def no_derivative(name: str) -> UnsupportedOperator:
    """Give the error of a function without a derivative that could be bounded."""
    return UnsupportedOperator(
        f"no bounds for the derivative of '{name}': it has jumps, or its derivative has no relaxation; rewrite this "
        "part with relu, maximum or smooth functions, or give the relaxation a derivative (`differentiate`)"
    )


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

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        """Write rows of coefficients of the output, times the derivative by input `which`: coefficients of that input."""
        return writer.transposed(self, which, inputs, output, rows)

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

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        """Write rows of coefficients of the output, times the derivative by input `which`: coefficients of that input.

        Raises:
            UnsupportedOperator: there is no derivative, or none that could be bounded.
        """
        raise no_derivative(type(self).__name__)

    def layout(self, form: LinearForm) -> LinearForm:
        """Give the form in the layout that `backward` works in."""
        return form

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        """Say which entries of input `which` would profit from tighter bounds, shape (batch, *shape)."""
        return inputs[which].upper > inputs[which].lower

    @abstractmethod
    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        """Bound the size of what the planes are computed from, for any of their free choices: what rounding is relative to.

        Args:
            inputs: bounds of the inputs.
            sizes: the largest absolute value of each of their entries.
        """

    @property
    def is_multilinear(self) -> bool:
        """Say whether the map, and its planes, are linear in one input where all others are constants."""
        return False

    @property
    def has_alternative(self) -> bool:
        """Say whether `alternative` ever gives something."""
        return False

    def alternative(self, form: LinearForm) -> Thetas | None:
        """Give a second choice of planes, which is the tighter one for some forms; None where there is none."""
        return None

    def initial_thetas(self, inputs: Sequence[Bounds]) -> Thetas:
        """Give the choices that reproduce the default planes; None where there is nothing to choose."""
        return Thetas()


class Input:
    """A perturbed input: where linear forms meet the region."""

    def __init__(self, number: int) -> None:
        self.number = number


Op = Input | Affine | Nonlinear
Refine = Callable[[Sequence[Bounds]], Bounds]


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
