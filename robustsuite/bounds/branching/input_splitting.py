"""Branch and bound over the input box: cut it where the network is most sensitive, until every part is decided."""

from __future__ import annotations

import torch
from torch import Tensor

from robustsuite.bounds.branching.query import Point, Query
from robustsuite.bounds.forms.linear_form import Dense
from robustsuite.bounds.passes.backward import backward_bounds
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.refinement import intervals_of
from robustsuite.perturbations import BoxRegion
from robustsuite.perturbations.norms import flat

_BATCH = 512  # parts that are bounded at once


def split_inputs(query: Query) -> tuple[bool, Point | None, int]:
    """Decide a property by splitting its box, where the network has one input.

    Returns:
        Whether it holds, a counterexample or None, and the number of parts bounded. False without a
        counterexample: out of time, or parts are left that no floating point number divides.

    Source: Wang et al. 2018 (ReluVal), section 4.3 (split by influence); bounds by CROWN.
    """
    groups = len(query.rows)
    (region,) = query.regions
    lower, upper = (end.expand(groups, *end.shape[1:]) for end in (region.lower, region.upper))
    group = torch.arange(groups, device=lower.device)
    domains = 0
    indivisible = False
    while len(group):
        if query.out_of_time():
            return False, None, domains
        # The parts cut last are worked on first: few are open at a time, and deep ones reveal violations.
        take = slice(max(0, len(group) - _BATCH), len(group))
        rest = slice(0, take.start)
        box = BoxRegion((lower[take] + upper[take]) / 2, lower[take], upper[take])
        open_ = ~_proved(query, box, group[take])
        domains += len(open_)
        box, here = box.select(open_), group[take][open_]
        lower, upper, group = lower[rest], upper[rest], group[rest]
        if len(here) == 0:
            continue
        (gradient,) = query.gradient((box.center,), here)
        found = query.violation((torch.cat([box.center, box.minimizer_of(gradient)]),))
        if found is not None:
            return False, found, domains
        parted = _divisible(box).flatten(1).any(1)
        indivisible = indivisible or not bool(parted.all())
        box, here, gradient = box.select(parted), here[parted], gradient[parted]
        first, second = _halves(box, gradient)
        lower = torch.cat([lower, first.lower, second.lower])
        upper = torch.cat([upper, first.upper, second.upper])
        group = torch.cat([group, here, here])
    return not indivisible, None, domains


def _proved(query: Query, box: BoxRegion, group: Tensor) -> Tensor:
    """Say for which parts some row of the group is positive everywhere, so that not all can be <= 0."""
    with torch.no_grad():
        program = query.net.bind((box,))
        problem = Problem.of(program, (box,))
        intervals = intervals_of(problem)
        shape = program.steps[program.output].shape
        rows = query.rows[group]
        form = Dense(None, shape, rows.reshape(*rows.shape[:2], *shape))
        bounds = backward_bounds(problem, intervals, program.output, form, upper=False)
    return (bounds.lower + query.offset[group] > 0).any(1)


def _divisible(box: BoxRegion) -> Tensor:
    """Say which features have a number between their ends."""
    middle = (box.lower + box.upper) / 2
    return (box.lower < middle) & (middle < box.upper)


def _halves(box: BoxRegion, gradient: Tensor) -> tuple[BoxRegion, BoxRegion]:
    """Cut each box in two across the feature with the greatest width times slope."""
    width = flat(box.upper - box.lower)
    slope = flat(gradient.abs())
    # A floor on the slope lets a wide feature be cut where the network happens to be flat.
    influence = width * (slope + 1e-3 * slope.amax(1, keepdim=True) + 1e-9)
    influence = torch.where(_divisible(box).flatten(1), influence.nan_to_num(0.0), -1.0)
    where = torch.nn.functional.one_hot(influence.argmax(1), width.shape[1]).bool().view_as(box.lower)
    middle = (box.lower + box.upper) / 2
    return (
        BoxRegion(middle, box.lower, torch.where(where, middle, box.upper)),
        BoxRegion(middle, torch.where(where, middle, box.lower), box.upper),
    )
