"""CROWN's intervals: backward passes for the inputs of all nonlinearities."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.operations import Affine, Nonlinear
from robustsuite.bounds.passes.backward import (
    Chunked,
    Pass,
    forms_of_all,
    from_pairs,
    lower_bound,
    neuron_forms,
)
from robustsuite.bounds.passes.intervals import GONE, exact_interval, step_interval
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.settling import Refine, put, settle
from robustsuite.bounds.program import Program
from robustsuite.bounds.rules.convolution import Convolution
from robustsuite.perturbations.norms import flat

_DENSE_FROM = 0.5  # share of neurons from which one set of forms for all examples beats a set for each


def intervals_of(problem: Problem) -> list[Bounds]:
    """Give CROWN's interval of every step."""
    return tighten(problem, crown_passes(problem))


def crown_passes(problem: Problem) -> tuple[Refine, ...]:
    """Give the passes by which CROWN refines a step's interval: a cheap one first, that settles what it can."""
    planes = refine_with_planes(problem, Chunked(lower_bound))
    return (planes,) if problem.program.sound else (settle(problem), planes)


def tighten(problem: Problem, passes: Sequence[Refine]) -> list[Bounds]:
    """Give the interval of each step that a backward pass asks for (see `Structure`).

    The `passes` are applied in turn to what enters a nonlinearity.
    """
    intervals: list[Bounds] = []
    analysis, program = problem.analysis, problem.program
    exact, frontier = analysis.exact, analysis.frontier
    users, done_with = analysis.structure.users, analysis.structure.released
    for index, step in enumerate(program.steps):
        intervals.append(step_interval(step, intervals, problem.regions))
        if frontier[index]:
            intervals[index] = exact_interval(problem, intervals, index)
        seen: Bounds | None = None
        for refine in passes if not exact[index] else ():
            if intervals[index] is not seen:
                seen = intervals[index]
                mask = wanted(program, users[index], intervals, index)
                if mask is None or not bool(mask.any()):
                    break
            assert mask is not None
            intervals[index] = refine(intervals, index, mask)
        for i in done_with[index]:
            intervals[i] = GONE
    return intervals


def wanted(
    program: Program, users: Sequence[tuple[int, int]], intervals: Sequence[Bounds], index: int
) -> Tensor | None:
    """Say which entries of a step's output some nonlinearity would like tighter, or None."""
    wanted = None
    for user, position in users:
        op = program.steps[user].op
        if isinstance(op, Nonlinear):
            inputs = [intervals[i] if i <= index else intervals[index] for i in program.steps[user].inputs]
            mask = op.unresolved(inputs, position)
            wanted = mask if wanted is None else wanted | mask
    return wanted


def refine_with_planes(problem: Problem, bound: Pass) -> Refine:
    """Give a `Refine` that runs a backward pass for the marked neurons.

    Args:
        problem: the network and its inputs.
        bound: the pass.
    """

    def refine(intervals: list[Bounds], index: int, mask: Tensor) -> Bounds:
        old = intervals[index]
        lower, upper = flat(old.lower), flat(old.upper)
        batch, numel = lower.shape
        few = int(mask.count_nonzero()) < _DENSE_FROM * batch * numel
        if not few and not _meets_convolution(problem.program, index):
            # Nearly all neurons: one set of forms serves all examples, up to the first nonlinearity.
            form_of_all = forms_of_all(problem.program.steps[index].shape, like=lower)
            pairs = bound(problem, intervals, index, form_of_all).expand(batch, -1)
            tight = from_pairs(pairs, upper=True).intersect(Bounds(lower, upper))
            return tight.view(*old.lower.shape)
        form = neuron_forms(mask, like=lower)
        return put(old, form, bound(problem, intervals, index, form))

    return refine


def _meets_convolution(program: Program, index: int) -> bool:
    """Say whether a convolution comes before the next nonlinearity, so that windows can be used."""
    pending = [index]
    while pending:
        step = program.steps[pending.pop()]
        if isinstance(step.op, Convolution):
            return True
        if isinstance(step.op, Affine):
            pending.extend(step.inputs)
    return False
