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
from robustsuite.bounds.forms.linear_form import Shape
from robustsuite.bounds.methods.adjoint import Adjoint
from robustsuite.bounds.methods.crown import crown
from robustsuite.bounds.methods.objectives import Method
from robustsuite.bounds.operations import Affine, Input
from robustsuite.bounds.program import Program, Ref, Step
from robustsuite.bounds.relaxations.log_sum_exp import LogSumExp
from robustsuite.bounds.relaxations.maximum import Maximum
from robustsuite.bounds.relaxations.power import Reciprocal, Square
from robustsuite.bounds.relaxations.product import MatrixProduct, Product
from robustsuite.bounds.relaxations.selection import Selection
from robustsuite.bounds.relaxations.unary import Relaxation, Unary, apply_unary, no_derivative
from robustsuite.bounds.rules.arithmetic import Add, add, multiply, scale
from robustsuite.bounds.rules.linear import matmul
from robustsuite.bounds.rules.shape import Shift, expand, reshape, shift, transpose
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
    rows: dict[int, Rows] = {end: torch.eye(entries, **constant_like(g)).view(entries, *shape)}
    for index in range(end, -1, -1):
        if index not in rows or not relevant[index]:
            continue
        step, arriving = g.steps[index], rows.pop(index)
        if isinstance(step.op, Input):
            return _as_ref(g, arriving, index)
        g.where = f"derivative of {step.where}"
        parts = _pull(g, index, step, arriving, [relevant[source] for source in step.inputs])
        for source, part in zip(step.inputs, parts, strict=True):
            if part is not None:
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


def _times(g: Program, factor: Ref, rows: Rows) -> Ref:
    """Multiply rows with one factor for all of them, of the rows' shape but for the first axis."""
    wide = expand(g, factor, (rows.shape[0], *factor.shape))
    if isinstance(rows, Ref):
        return g.emit(Product(gated=True), wide, rows, shape=rows.shape)
    return scale(g, wide, rows)


def _pull(g: Program, index: int, step: Step, rows: Rows, wanted: Sequence[bool]) -> list[Rows | None]:
    """Multiply rows with the derivative of a step, for each of its inputs that is wanted."""
    inputs = [Ref(source, g.steps[source].shape) for source in step.inputs]
    output = Ref(index, step.shape)
    op = step.op
    if isinstance(op, Shift | Add):
        return [rows if want else None for want in wanted]
    if isinstance(op, Affine):
        shapes = [x.shape for x in inputs]
        return [_transposed(g, op, shapes, i, step.shape, rows) if w else None for i, w in enumerate(wanted)]
    if isinstance(op, Unary):
        return [_times(g, _slope(g, op.relaxation, inputs[0], output), rows)]
    if isinstance(op, Product):
        others = inputs[1], inputs[0]
        return [_times(g, other, rows) if w else None for other, w in zip(others, wanted, strict=True)]
    if isinstance(op, MatrixProduct):
        x, y = (transpose(g, v, len(v.shape) - 2, len(v.shape) - 1) for v in inputs)
        return [matmul(g, rows, y) if wanted[0] else None, matmul(g, x, rows) if wanted[1] else None]
    if isinstance(op, Maximum | LogSumExp):
        if isinstance(op, Maximum):
            weights = g.emit(Selection(op.repeated), inputs[0], shape=inputs[0].shape)
        else:
            weights = softmax(g, inputs[0], -1)
        count = weights.shape[-1]
        last = (*rows.shape, 1)
        wide = reshape(g, rows, last) if isinstance(rows, Ref) else rows.reshape(last)
        wide = (
            expand(g, wide, (*rows.shape, count))
            if isinstance(wide, Ref)
            else wide.expand(-1, *weights.shape)
        )
        return [_times(g, weights, wide)]
    raise no_derivative(type(op).__name__)


def _transposed(
    g: Program, op: Affine, befores: Sequence[Shape], which: int, after: Shape, rows: Rows
) -> Rows:
    adjoint = Adjoint(op, befores, which, after)
    if isinstance(rows, Ref):
        return g.emit(adjoint, rows, shape=(rows.shape[0], *befores[which]))
    return adjoint.forward(rows.unsqueeze(0)).squeeze(0)


def _slope(g: Program, relaxation: Relaxation, x: Ref, y: Ref) -> Ref:
    """Give the derivative of a function at its input `x`, where it has the value `y`."""
    if isinstance(relaxation, Square):
        return scale(g, x, 2.0)
    if isinstance(relaxation, Reciprocal):
        return scale(g, multiply(g, y, y), -1.0)
    return apply_unary(g, x, relaxation.differentiate())
