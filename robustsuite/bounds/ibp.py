"""Interval bound propagation (IBP). Source: Gowal et al. 2018, section 3."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from robustsuite.bounds.backward import backward_bounds, identity_form
from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.graph import Graph
from robustsuite.bounds.program import Affine, Input, Program, Step
from robustsuite.bounds.specs import Regions, as_regions, finish
from robustsuite.errors import UnboundedOutput
from robustsuite.perturbation import Region


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
    regions = as_regions(region)
    program = net.bind(regions)
    intervals = propagate(program, regions)
    return finish(net, program, intervals, regions, objective, upper=upper, through_nonlinear=False)


def propagate(program: Program, regions: Sequence[Region]) -> list[Bounds]:
    """Give the IBP interval of every step, shapes (batch, *shape)."""
    intervals: list[Bounds] = []
    frontier = exact_frontier(program, regions)
    for index, step in enumerate(program.steps):
        intervals.append(step_interval(step, intervals, regions))
        if frontier[index]:
            form = identity_form(step.shape, like=intervals[index].lower)
            exact = backward_bounds(program, intervals, regions, index, form)
            intervals[index] = intervals[index].intersect(exact.view(-1, *step.shape))
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
    return interval


def exact_frontier(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say which steps are affine in a region that is not a box, and feed a nonlinearity or the output.

    For them the dual norm gives the exact interval, which the interval hull of the region would widen.
    """
    affine = affine_steps(program)
    if all(region.is_box for region in regions):
        return [False] * len(program.steps)
    users = program.users()
    return [
        affine[i]
        and not isinstance(step.op, Input)
        and (i == program.output or any(not affine[user] for user, _ in users[i]))
        for i, step in enumerate(program.steps)
    ]


def affine_steps(program: Program) -> list[bool]:
    """Say which steps are affine functions of the inputs."""
    affine: list[bool] = []
    for step in program.steps:
        affine.append(
            isinstance(step.op, Input)
            or (isinstance(step.op, Affine) and all(affine[i] for i in step.inputs))
        )
    return affine


def exact_steps(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say for which steps IBP is exact already, so that no other method can improve on it."""
    exact, apart = [], []
    frontier = exact_frontier(program, regions)
    for index, step in enumerate(program.steps):
        if isinstance(step.op, Input):
            exact.append(True)
            apart.append(regions[step.op.number].is_box)
        elif isinstance(step.op, Affine) and len(step.inputs) == 1:
            source = step.inputs[0]
            exact.append(frontier[index] or apart[source])
            apart.append(apart[source] and step.op.keeps_features_apart())
        else:
            exact.append(frontier[index])
            apart.append(False)
    return exact


__all__ = ["affine_steps", "exact_steps", "ibp", "propagate", "step_interval"]
