"""A cheap backward pass that settles most neurons, so that the dear one is left with few.

With the same slope below and above each ReLU, the forms of a neuron and of its negation stay each other's negatives:
one set of coefficients bounds both sides, at half the cost of CROWN's two. That is looser than CROWN, but a ReLU
whose input does not change its sign needs no better bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.picks import OneHot
from robustsuite.bounds.operations import Affine, Input, Nonlinear
from robustsuite.bounds.passes.backward import Chunked, neuron_forms, walk
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.program import Step
from robustsuite.bounds.relaxations.relu import ReLU
from robustsuite.bounds.relaxations.unary import Unary
from robustsuite.perturbations.norms import flat, pairing

Refine = Callable[[list[Bounds], int, Tensor], Bounds]
"""Gives a step's tightened interval, from the intervals so far, the step's index and the mask of neurons."""

_WORTH = 2**20  # coefficients from which settling first can pay
_SAMPLE = 8  # one neuron in so many is tried before the rest
_SETTLES = 0.5  # share that must be settled for the rest to follow: a pass costs about half of the full one


def settle(problem: Problem) -> Refine:
    """Give the refinement by one set of coefficients for both sides, for the neurons of ReLU networks.

    It leaves the interval as it is where nonlinearities other than ReLUs lie on the way, where the work is small, and
    where a sample shows that too few neurons would be settled.

    Source: the parallelogram relaxation, Singh et al. 2018 (DeepZ), theorem 3.1, carried backward.
    """
    program = problem.program
    run = Chunked(both_sides)
    relus = [not isinstance(step.op, Nonlinear) or _is_relu(step) for step in program.steps]

    def refine(intervals: list[Bounds], index: int, mask: Tensor) -> Bounds:
        old = intervals[index]
        largest = problem.analysis.structure.largest[index - 1]
        if mask.numel() * largest < _WORTH or torch.is_grad_enabled():
            return old
        if not all(relus[:index]) or int(mask.sum()) * largest < _WORTH:
            return old

        form = neuron_forms(mask, like=old.lower)
        form = replace(form, value=form.value[:, :1])
        sample = form.pick(slice(None, None, _SAMPLE))
        value = run(problem, intervals, index, sample)
        if float(_settled(value).to(value.dtype).mean()) < _SETTLES:
            return _put_settled(old, sample, value)
        return _put_settled(old, form, run(problem, intervals, index, form))

    return refine


def _settled(value: Tensor) -> Tensor:
    return (value > 0).any(1)


def _put_settled(old: Bounds, form: OneHot, value: Tensor) -> Bounds:
    # The others are left as they are: their bounds here are not CROWN's, and could turn a default slope over.
    (which,) = _settled(value).nonzero(as_tuple=True)
    return put(old, form.pick(which), value[which])


def put(old: Bounds, form: OneHot, value: Tensor) -> Bounds:
    """Intersect an interval (batch, *shape) with bounds of some of its entries.

    Args:
        old: the interval.
        form: says which entries.
        value: lower bounds of each entry and of its negation, shape (rows, 2).
    """
    lower, upper = flat(old.lower), flat(old.upper)
    assert form.rows is not None
    at = (form.rows, form.index)
    tight = Bounds(value[:, 0], -value[:, 1]).intersect(Bounds(lower[at], upper[at]))
    lower, upper = lower.index_put(at, tight.lower), upper.index_put(at, tight.upper)
    return Bounds(lower, upper).view(*old.lower.shape)


def both_sides(problem: Problem, intervals: Sequence[Bounds], start: int, form: LinearForm) -> Tensor:
    """Bound linear forms of a step's output and their negations from below, with one set of coefficients.

    Args:
        problem, intervals, start: as for `lower_bound`; all nonlinearities on the way are ReLUs.
        form: one spec in each row.

    Returns:
        Shape (rows, 2).
    """
    program, regions = problem.program, problem.regions
    value = torch.zeros((), dtype=form.a.dtype, device=form.a.device)

    def visit(index: int, step: Step, here: LinearForm) -> Sequence[LinearForm]:
        nonlocal value
        if isinstance(step.op, Input):
            region = regions[step.op.number]

            def take(values: Tensor) -> Tensor:
                return here.take(values.unsqueeze(1))

            value = value + region.minimum_of_both(here.a, take)
            return ()
        if isinstance(step.op, Affine):
            offset = step.op.offset()
            if offset is not None:
                constant = here.constant(offset.expand(-1, *step.shape))
                value = value + torch.cat([constant, -constant], 1)
            return step.op.adjoint(here)
        assert isinstance(step.op, Unary)
        lines = step.op.lines(intervals[step.inputs[0]])
        # slope * x <= relu(x) <= slope * x + intercept, with the slope of the chord.
        a, height = here.a, here.take(lines.upper_intercept).unsqueeze(1)
        rising = pairing(a.clamp(min=0), height)
        value = value + torch.cat([pairing(a, height) - rising, -rising], 1)
        return (here.with_coefficients(a * here.take(lines.upper_slope).unsqueeze(1), zero_outside=True),)

    walk(program, start, form, visit)
    return value


def _is_relu(step: Step) -> bool:
    return isinstance(step.op, Unary) and isinstance(step.op.relaxation, ReLU)
