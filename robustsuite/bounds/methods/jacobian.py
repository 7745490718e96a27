"""Bounds of a network's derivatives: its Jacobian as a graph of its own.

The Jacobian is written as further steps behind those of the network, by going backward over them: an affine step
becomes its transpose, an elementwise nonlinearity a product with its derivative at the same input, a product the
product rule. So every bound method works on it as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite.arguments import check_kind, check_number
from robustsuite.bounds.arguments import Regions, check_method, checked
from robustsuite.bounds.methods.adjoint import Adjoint
from robustsuite.bounds.methods.crown import crown
from robustsuite.bounds.methods.objectives import Method
from robustsuite.bounds.operations import Affine, Input, Nonlinear, Writer
from robustsuite.bounds.program import Program, Ref, Step
from robustsuite.bounds.relaxations.product import Product
from robustsuite.bounds.rules.arithmetic import add, scale
from robustsuite.bounds.rules.linear import matmul
from robustsuite.bounds.rules.shape import expand, reshape, shift, transpose
from robustsuite.bounds.rules.softmax import softmax
from robustsuite.bounds.rules.table import constant_like
from robustsuite.bounds.tracing.graph import Graph
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import BoxRegion

Rows = Ref | Tensor
"""Coefficients of a step's output in all entries of the network's output, shape (entries, *shape); a tensor where
they are the same for all inputs."""


def jacobian(net: Graph, *, argument: int = 0) -> Graph:
    """Give the graph of a network's Jacobian with respect to its input, for all bound methods.

    Where the network has a kink the bounds hold for the derivatives of both sides, and all between them (Clarke's
    generalised Jacobian); so they also bound every difference quotient.

    The rows of an objective have the shape of the Jacobian: one that is 1 in entry (o, i) asks whether output o
    rises with input i. The cost grows with the number of outputs: bound few of them.

    Args:
        net: from `trace`.
        argument: which input to differentiate by, where there are several.

    Returns:
        A graph whose output has shape (batch, *output, *input), as from `torch.func.jacrev` of one example.

    Raises:
        UnsupportedOperator: a function of the network has jumps, or a derivative that has no bounds.
        InvalidInput: there is no such argument.

    Source: Shi et al. 2022 (2210.07394), section 3; the derivative of ReLU as a 0/1 step.

    Example:
        >>> import torch
        >>> from robustsuite import Linf, bounds
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
        >>> slopes = bounds.jacobian(bounds.trace(model, torch.zeros(1, 2)))
        >>> b = bounds.crown(slopes, Linf(0.1).around(torch.zeros(5, 2)))
        >>> b.lower.shape
        torch.Size([5, 3, 2])
    """
    check_kind(net, Graph, "net", "a graph: pass bounds.trace(module, example)")
    check_number("argument", argument, integer=True)
    if not 0 <= argument < len(net.input_shapes):
        raise InvalidInput(
            f"argument is {argument} for a network of {len(net.input_shapes)} inputs; expected 0 to "
            f"{len(net.input_shapes) - 1}"
        )
    module = Jacobian(net.module, argument)
    shape = (*net.output_shape, *net.input_shapes[argument])
    derived = net.derive(module, shape, partial(differentiate, argument=argument))
    like = next((p for p in net.module.parameters() if p.is_floating_point()), torch.zeros(()))
    zeros = [torch.zeros((1, *s), dtype=like.dtype, device=like.device) for s in net.input_shapes]
    derived.bind([BoxRegion(zero, zero, zero) for zero in zeros])  # refuses now what has no derivative
    return derived


def lipschitz(
    net: Graph, region: Regions, *, p: float = math.inf, method: Method = crown, argument: int = 0
) -> Float[Tensor, " batch"]:
    """Bound the local Lipschitz constant of each example's region: |f(x) - f(x')|_p <= L |x - x'|_p on it.

    Args:
        net: from `trace`.
        region: from `Perturbation.around`, or a tuple with one region per input. It must be convex (boxes and balls
            are): the segment between two of its points belongs to it.
        p: of the norm on both sides, 1, 2 or inf.
        method: a bound method, for the Jacobian.
        argument: which input moves, where there are several.

    Returns:
        The norm of the matrix of the largest absolute derivatives, which is at least that of any Jacobian on the
        region, shape (batch,).

    Raises:
        InvalidInput: p is another number, or shapes do not fit.
        UnsupportedOperator: the network has a jump, or a derivative that has no bounds.

    Source: Shi et al. 2022 (2210.07394), section 3.
    """
    if p not in (1, 2, math.inf):
        raise InvalidInput(f"p is {p}; expected 1, 2 or inf")
    check_method(method)
    checked(net, region)
    bounds = method(jacobian(net, argument=argument), region)
    largest = torch.maximum(bounds.lower.abs(), bounds.upper.abs())
    inputs = math.prod(net.input_shapes[argument])
    norm: Tensor = torch.linalg.matrix_norm(largest.view(len(largest), -1, inputs), ord=p)
    return norm


class Jacobian(nn.Module):
    """Compute the Jacobian of a module that treats each example on its own, one output after the other.

    Args:
        module: maps batches to a batch (batch, *output).
        argument: which input to differentiate by.
    """

    def __init__(self, module: nn.Module, argument: int = 0) -> None:
        super().__init__()
        self.module, self._argument = module, argument

    def forward(self, *xs: Tensor) -> Tensor:
        """Give the Jacobian, shape (batch, *output, *input); differentiable."""
        with torch.enable_grad():
            x = xs[self._argument]
            x = x if x.requires_grad else x.detach().requires_grad_()
            y = self.module(*xs[: self._argument], x, *xs[self._argument + 1 :])
            rows = []
            for output in y.reshape(len(x), -1).unbind(1):
                # A term of no value keeps constant derivatives in the graph: theirs are zero, not missing.
                total = output.sum() + 0.0 * x.sum()
                rows.append(torch.autograd.grad(total, x, create_graph=True)[0] + 0.0 * x)
        result = torch.stack(rows, 1).view(len(x), *y.shape[1:], *x.shape[1:])
        return result if torch.is_grad_enabled() else result.detach()


def differentiate(g: Program, *, argument: int = 0) -> Ref:
    """Add the steps of the Jacobian of a program's output, and give it: shape (entries, *input)."""
    end = g.output
    entries, shape = math.prod(g.steps[end].shape), g.steps[end].shape
    relevant = _dependent(g.steps, argument)
    writer = _Writer(g)
    rows: dict[int, Rows] = {end: torch.eye(entries, **constant_like(g)).view(entries, *shape)}
    for index in range(end, -1, -1):
        if index not in rows or not relevant[index]:
            continue
        step, arriving = g.steps[index], rows.pop(index)
        if isinstance(step.op, Input):
            return _as_ref(g, arriving, index)
        g.where = f"derivative of {step.where}"
        inputs = [Ref(source, g.steps[source].shape) for source in step.inputs]
        output = Ref(index, step.shape)
        for which, source in enumerate(step.inputs):
            if relevant[source]:
                part = step.op.pull(writer, which, inputs, output, arriving)
                rows[source] = _sum(g, rows[source], part) if source in rows else part
    raise InvalidInput("the network's output does not depend on this input; its Jacobian is zero")


def _dependent(steps: Sequence[Step], argument: int) -> list[bool]:
    """Say which steps depend on an input."""
    found: list[bool] = []
    for step in steps:
        mine = isinstance(step.op, Input) and step.op.number == argument
        found.append(mine or any(found[source] for source in step.inputs))
    return found


def _as_ref(g: Program, rows: Rows, index: int) -> Ref:
    """Give rows as a step; those of an affine network are constants: nothing times the input, plus them."""
    if isinstance(rows, Ref):
        return rows
    x = Ref(index, g.steps[index].shape)
    return shift(g, scale(g, expand(g, x, rows.shape), 0.0), rows)


def _sum(g: Program, one: Rows, other: Rows) -> Rows:
    if isinstance(one, Ref) or isinstance(other, Ref):
        return add(g, one, other)
    return one + other


class _Writer(Writer[Rows]):
    """Writes steps into a program."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def transposed(self, op: Affine, which: int, inputs: Sequence[Rows], output: Rows, rows: Rows) -> Rows:
        shapes = [tuple(x.shape) for x in inputs]
        adjoint = Adjoint(op, shapes, which, tuple(output.shape))
        if isinstance(rows, Ref):
            return self._program.emit(adjoint, rows, shape=(rows.shape[0], *shapes[which]))
        return adjoint.forward(rows.unsqueeze(0)).squeeze(0)

    def multiplied(self, factor: Rows, rows: Rows) -> Ref:
        wide = expand(self._program, _step(factor), (rows.shape[0], *factor.shape))
        if isinstance(rows, Ref):
            return self._program.emit(Product(gated=True), wide, rows, shape=rows.shape)
        return scale(self._program, wide, rows)

    def spread(self, weights: Rows, rows: Rows) -> Ref:
        last, wide = (*rows.shape, 1), (rows.shape[0], *weights.shape)
        return self.multiplied(weights, expand(self._program, reshape(self._program, rows, last), wide))

    def applied(self, op: Nonlinear, x: Rows) -> Ref:
        return self._program.emit(op, _step(x), shape=tuple(x.shape))

    def scaled(self, x: Rows, factor: float) -> Ref:
        return scale(self._program, _step(x), factor)

    def matrix_product(self, x: Rows, y: Rows) -> Ref:
        return matmul(self._program, x, y)

    def swapped(self, x: Rows) -> Ref:
        return transpose(self._program, _step(x), len(x.shape) - 2, len(x.shape) - 1)

    def softmax(self, x: Rows) -> Ref:
        return softmax(self._program, _step(x), -1)


def _step(x: Rows) -> Ref:
    assert isinstance(x, Ref)  # an input or the output of a step, or made of them
    return x
