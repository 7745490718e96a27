"""Interval bound propagation (IBP). Source: Gowal et al. 2018, section 3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.bounds.arguments import Regions, checked
from robustsuite.bounds.backward import MAX_MEMORY, in_chunks, lower_bound, neuron_forms
from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.graph import Graph
from robustsuite.bounds.linear_form import LinearForm
from robustsuite.bounds.program import Affine, Input, Nonlinear, Program, Ref, Step
from robustsuite.bounds.relaxations.product import MatrixProduct, Product
from robustsuite.bounds.rounding import rounding
from robustsuite.bounds.specs import finish
from robustsuite.errors import UnboundedOutput
from robustsuite.perturbations import Region

GONE = Bounds(torch.empty(0), torch.empty(0))  # stands for an interval that was released


def ibp(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | None = None,
    upper: bool = True,
) -> Bounds:
    """Bound a network's outputs by interval arithmetic: the cheapest method and the loosest.

    Two refinements cost little: the affine layers before the first nonlinearity are bounded exactly on a region
    that is not a box (dual norm), and an objective is multiplied into the last affine layers first.

    Args:
        net: from `trace`.
        region: from `Perturbation.around`, or a tuple with one region per input.
        objective: rows C of linear functions of the output, shape (specs, *output) or (batch, specs, *output).
        upper: False leaves the upper ends at infinity, and saves their cost.

    Returns:
        Bounds of shape (batch, *output), or (batch, specs) with an objective. Differentiable.

    Raises:
        InvalidInput: shapes of region or objective do not fit the network.
        UnboundedOutput: a step has no finite bounds on this region.

    Source: Gowal et al. 2018, section 3.
    """
    regions = checked(net, region, objective)
    program = net.bind(regions)
    intervals = propagate(program, regions)
    return finish(net, program, intervals, regions, objective, upper=upper, through_nonlinear=False)


def propagate(program: Program, regions: Sequence[Region]) -> list[Bounds]:
    """Give the IBP interval, shapes (batch, *shape), of the steps that a backward pass asks for (see `released`)."""
    intervals: list[Bounds] = []
    frontier = exact_frontier(program, regions)
    done_with = released(program)
    for index, step in enumerate(program.steps):
        intervals.append(step_interval(step, intervals, regions))
        if frontier[index]:
            intervals[index] = exact_interval(program, intervals, regions, index)
        for i in done_with[index]:
            intervals[i] = GONE
    return intervals


def released(program: Program) -> list[list[int]]:
    """Say whose intervals nobody needs any more once that of a step is known: most of the memory of deep networks.

    Needed to the end are those of the inputs of nonlinear steps (planes are made from them), of the output, and those
    that the output is an affine function of.
    """
    steps = program.steps
    freed: list[list[int]] = [[] for _ in steps]
    if program.sound:
        return freed  # rounding looks at all of them
    kept = {program.output}
    last = list(range(len(steps)))
    for index, step in enumerate(steps):
        if isinstance(step.op, Nonlinear):
            kept.update(step.inputs)
        for i in (*step.inputs, *step.refine_from):
            last[i] = index
    pending = [program.output]
    while pending:
        step = steps[pending.pop()]
        if isinstance(step.op, Affine):
            kept.update(step.inputs)
            pending.extend(step.inputs)
    for i, index in enumerate(last):
        if i not in kept:
            freed[index].append(i)
    return freed


def exact_interval(
    program: Program, intervals: Sequence[Bounds], regions: Sequence[Region], index: int
) -> Bounds:
    """Give the interval of a step that is affine in the inputs, by the region's dual norm."""
    ends, shape = intervals[index], program.steps[index].shape
    clean = program.value(Ref(index, shape))
    if len(regions) == 1 and regions[0].is_symmetric and not program.sound:
        # The radius is that of one example: no nonlinearity lies on the way, so all share the coefficients.
        first = [region.select(torch.zeros(1, dtype=torch.long, device=clean.device)) for region in regions]
        form = neuron_forms(torch.ones((1, *shape), dtype=torch.bool, device=clean.device), like=clean)
        form = replace(form, value=form.value[:, :1])
        least = _chunked(program, intervals, first, index, form).view(1, *shape)
        radius = clean[:1] - least
        return ends.intersect(Bounds(clean - radius, clean + radius))
    form = neuron_forms(torch.ones_like(clean, dtype=torch.bool), like=clean)
    pairs = _chunked(program, intervals, regions, index, form)
    return ends.intersect(Bounds(pairs[:, 0], -pairs[:, 1]).view(*clean.shape))


def _chunked(
    program: Program, intervals: Sequence[Bounds], regions: Sequence[Region], index: int, form: LinearForm
) -> Tensor:
    def bound(part: LinearForm) -> Tensor:
        return lower_bound(program, intervals, regions, index, part)

    return in_chunks(program, intervals, regions, index, form, bound, max_memory=MAX_MEMORY)


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


def exact_frontier(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say which steps are affine in a region that is not a box, and feed a nonlinearity or the output.

    For them the dual norm gives the exact interval, which the interval hull of the region would widen. Where each
    entry is one of the input's (a transposed kernel, say) the hull loses nothing.
    """
    if all(region.is_box for region in regions):
        return [False] * len(program.steps)
    fixed, moved = fixed_steps(program, regions), moved_steps(program)
    affine = affine_steps(program, fixed)
    users = program.users()
    return [
        affine[i]
        and not (moved[i] or fixed[i])
        and (i == program.output or any(not affine[user] for user, _ in users[i]))
        for i in range(len(program.steps))
    ]


def fixed_steps(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say which steps have one value only, because an input among several is not perturbed."""
    fixed: list[bool] = []
    for step in program.steps:
        if isinstance(step.op, Input):
            region = regions[step.op.number]
            # A wait for the device, for each input where there are several.
            fixed.append(len(regions) > 1 and torch.equal(region.lower, region.upper))
        else:
            fixed.append(all(fixed[i] for i in step.inputs))
    return fixed


def affine_steps(program: Program, fixed: Sequence[bool]) -> list[bool]:
    """Say which steps are affine functions of the inputs that are not fixed."""
    affine: list[bool] = []
    for index, step in enumerate(program.steps):
        free = [i for i in step.inputs if not fixed[i]]
        # A product with a fixed factor is linear, and so are its planes.
        linear = isinstance(step.op, Input | Affine) or (
            isinstance(step.op, Product | MatrixProduct) and len(free) == 1
        )
        affine.append(fixed[index] or (linear and all(affine[i] for i in free)))
    return affine


def moved_steps(program: Program) -> list[bool]:
    """Say for which steps each entry comes from one entry of an input, so that intervals are exact."""
    moved: list[bool] = []
    for step in program.steps:
        alone = isinstance(step.op, Affine) and len(step.inputs) == 1 and moved[step.inputs[0]]
        moved.append(
            isinstance(step.op, Input)
            or (alone and isinstance(step.op, Affine) and step.op.keeps_features_apart())
        )
    return moved


def exact_steps(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say for which steps IBP is exact already, so that no other method can improve on it."""
    exact, apart = [], []
    frontier, moved = exact_frontier(program, regions), moved_steps(program)
    for index, step in enumerate(program.steps):
        if isinstance(step.op, Input):
            exact.append(True)
            apart.append(regions[step.op.number].is_box)
        elif isinstance(step.op, Affine) and len(step.inputs) == 1:
            source = step.inputs[0]
            exact.append(frontier[index] or moved[index] or apart[source])
            apart.append(apart[source] and step.op.keeps_features_apart())
        else:
            exact.append(frontier[index])
            apart.append(False)
    return exact
