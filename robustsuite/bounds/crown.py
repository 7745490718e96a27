"""CROWN and CROWN-IBP: bounds by planes pushed backward through the network."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from robustsuite.bounds.backward import lower_bound, neuron_forms
from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.graph import Graph
from robustsuite.bounds.ibp import exact_steps, propagate, step_interval
from robustsuite.bounds.program import Nonlinear, Program
from robustsuite.bounds.specs import Regions, as_regions, finish
from robustsuite.perturbation import Region

_DENSE_FROM = 0.5  # share of neurons from which one set of forms for all examples beats a set for each


def crown_ibp(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | None = None,
    upper: bool = True,
) -> Bounds:
    """Bound a network's outputs by one backward pass over intervals that IBP gives.

    Little dearer than `ibp` for few outputs, and never wider: what certified training uses.

    Args and Returns: as for `ibp`.

    Source: Zhang et al. 2020 (CROWN-IBP), section 3.2.
    """
    regions = as_regions(region)
    program = net.bind(regions)
    intervals = propagate(program, regions)
    return finish(net, program, intervals, regions, objective, upper=upper)


def crown(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | None = None,
    upper: bool = True,
) -> Bounds:
    """Bound a network's outputs by backward passes, for the inputs of all nonlinearities too.

    Only neurons whose interval leaves something to gain (unstable ReLUs, say) get a backward pass; every interval
    is intersected with what was known, so the result is never wider than that of `crown_ibp`.

    Args and Returns: as for `ibp`.

    Source: Zhang et al. 2018 (CROWN), section 3; adaptive lower slopes.
    """
    regions = as_regions(region)
    program = net.bind(regions)
    intervals = tighten(program, regions)
    return finish(net, program, intervals, regions, objective, upper=upper)


def tighten(program: Program, regions: Sequence[Region]) -> list[Bounds]:
    """Give an interval for every step, with a backward pass for what enters a nonlinearity."""
    intervals = []
    exact = exact_steps(program, regions)
    frontier = propagate if any(not region.is_box for region in regions) else None
    start = frontier(program, regions) if frontier else None
    users = program.users()
    for index, step in enumerate(program.steps):
        interval = step_interval(step, intervals, regions)
        if start is not None:
            interval = interval.intersect(start[index])
        intervals.append(interval)
        if exact[index]:
            continue
        mask = _wanted(program, users[index], intervals, index)
        if mask is not None and bool(mask.any()):
            intervals[index] = refine(program, intervals, regions, index, mask)
    return intervals


def _wanted(
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


def refine(
    program: Program, intervals: Sequence[Bounds], regions: Sequence[Region], index: int, mask: Tensor
) -> Bounds:
    """Give the step's interval, tightened by a backward pass for the neurons that `mask` marks."""
    old = intervals[index]
    form = neuron_forms(mask, like=old.lower)
    rows = form.rows
    assert rows is not None
    pair = lower_bound(program, intervals, regions, index, form)
    at = (rows, form.index)
    shape = old.lower.shape
    lower, upper = old.lower.flatten(1), old.upper.flatten(1)
    tight = Bounds(pair[:, 0], -pair[:, 1]).intersect(Bounds(lower[at], upper[at]))
    return Bounds(lower.index_put(at, tight.lower).view(shape), upper.index_put(at, tight.upper).view(shape))
