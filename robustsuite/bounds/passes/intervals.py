"""Intervals pushed forward, step by step: interval arithmetic, exact where a network is affine so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.operations import Input
from robustsuite.bounds.passes.backward import Chunked, lower_bound, neuron_forms
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.rounding import rounding
from robustsuite.bounds.program import Ref, Step
from robustsuite.errors import UnboundedOutput
from robustsuite.perturbations import Region

GONE = Bounds(torch.empty(0), torch.empty(0))  # stands for an interval that was released


def propagate(problem: Problem) -> list[Bounds]:
    """Give the IBP interval, shapes (batch, *shape), of the steps that a backward pass asks for (see `Structure`)."""
    intervals: list[Bounds] = []
    frontier, done_with = problem.analysis.frontier, problem.analysis.structure.released
    for index, step in enumerate(problem.program.steps):
        intervals.append(step_interval(step, intervals, problem.regions))
        if frontier[index]:
            intervals[index] = exact_interval(problem, intervals, index)
        for i in done_with[index]:
            intervals[i] = GONE
    return intervals


def step_interval(step: Step, intervals: Sequence[Bounds], regions: Sequence[Region]) -> Bounds:
    """Give the interval of one step from those of its inputs."""
    if isinstance(step.op, Input):
        region = regions[step.op.number]
        return Bounds(region.lower.unsqueeze(1), region.upper.unsqueeze(1))
    try:
        interval = step.op.interval(*(intervals[i] for i in step.inputs))
    except UnboundedOutput as error:
        raise UnboundedOutput(f"{step.where}: {error}") from None
    if step.refine is not None:
        interval = interval.intersect(step.refine([intervals[i] for i in step.refine_from]))
    if step.sound:
        slack = rounding(step, [intervals[i] for i in step.inputs], interval)
        interval = Bounds(interval.lower - slack, interval.upper + slack)
    return interval


def exact_interval(problem: Problem, intervals: Sequence[Bounds], index: int) -> Bounds:
    """Give the interval of a step that is affine in the inputs, by the region's dual norm."""
    program, regions = problem.program, problem.regions
    ends, shape = intervals[index], program.steps[index].shape
    clean = program.value(Ref(index, shape))
    if len(regions) == 1 and regions[0].is_symmetric and not program.sound:
        # The radius is that of one example: no nonlinearity lies on the way, so all share the coefficients.
        alone = torch.zeros(1, dtype=torch.long, device=clean.device)
        first = replace(problem, regions=tuple(region.select(alone) for region in regions))
        form = neuron_forms(torch.ones((1, *shape), dtype=torch.bool, device=clean.device), like=clean)
        form = replace(form, value=form.value[:, :1])
        least = Chunked(lower_bound)(first, intervals, index, form).view(1, *shape)
        radius = clean[:1] - least
        return ends.intersect(Bounds(clean - radius, clean + radius))
    form = neuron_forms(torch.ones_like(clean, dtype=torch.bool), like=clean)
    pairs = Chunked(lower_bound)(problem, intervals, index, form)
    return ends.intersect(Bounds(pairs[:, 0], -pairs[:, 1]).view(*clean.shape))
