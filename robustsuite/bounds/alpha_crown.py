"""alpha-CROWN: CROWN with its free choices (slopes, tangent points, mixtures) optimised by gradient ascent."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_number
from robustsuite.bounds.arguments import Regions, check_memory, checked
from robustsuite.bounds.backward import (
    MAX_MEMORY,
    Choose,
    default_choice,
    from_pairs,
    in_chunks,
    lower_bound,
    with_negatives,
)
from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.crown import crown_passes, refine_with_planes, tighten
from robustsuite.bounds.graph import Graph
from robustsuite.bounds.linear_form import LinearForm
from robustsuite.bounds.program import Nonlinear, Program, Thetas
from robustsuite.bounds.specs import as_output, output_forms
from robustsuite.perturbations import Region

_INTERMEDIATE_SHARE = 4  # a step for the intermediate bounds per so many for the output


def alpha_crown(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | None = None,
    upper: bool = True,
    steps: int = 20,
    intermediate_steps: int | None = None,
    lr: float = 0.25,
    decay: float = 0.98,
    max_memory: int = MAX_MEMORY,
) -> Bounds:
    """Bound a network's outputs by CROWN with optimised planes.

    Every bound that CROWN computes, of each neuron before a nonlinearity and of each output, becomes an
    optimisation of its own over the free choices of all planes on its way: first those of the early layers,
    whose results then serve the later ones. Any iterate is sound, the best of each bound is kept, and the result
    is, as a rule, not wider than that of `crown` (which starts from other intervals).

    Args and Returns: as for `crown`, and
        steps: optimiser steps for the output's bounds, >= 0.
        intermediate_steps: optimiser steps for each intermediate bound, >= 0; a quarter of `steps` by default. 0 keeps
            CROWN's intermediate bounds and optimises the output's alone: the larger part of the gain on many networks,
            for a fraction of the cost.
        lr: of Adam, for choices that lie in [0, 1]; > 0.
        decay: of the learning rate per step, in (0, 1].
        The result carries no gradient.

    Raises:
        InvalidInput: a number of steps is negative, or shapes do not fit.

    Source: Xu et al. 2021 (2011.13824), section 3.2.

    Note:
        The paper optimises all intermediate choices for the final bound jointly. Optimising each bound for itself
        needs no gradient through the intermediate bounds, so it can be split to fit the memory, and costs a
        fraction of the time.
    """
    check_number("steps", steps, integer=True, least=0)
    check_number("intermediate_steps", intermediate_steps, integer=True, least=0, optional=True)
    check_number("lr", lr, above=0)
    check_number("decay", decay, above=0, most=1)
    inner = math.ceil(steps / _INTERMEDIATE_SHARE) if intermediate_steps is None else intermediate_steps
    check_memory(max_memory)
    regions = checked(net, region, objective)
    with torch.no_grad():
        program = net.bind(regions)
        intervals = alpha_intervals(program, regions, steps=inner, lr=lr, decay=decay, max_memory=max_memory)
        form, cheap = output_forms(net, program, intervals, regions, objective, upper=upper)

        def improve(part: LinearForm) -> Tensor:
            return optimise(program, intervals, regions, program.output, part, steps, lr, decay)

        both = with_negatives(form) if upper else form
        value = in_chunks(
            program, intervals, regions, program.output, both, improve, max_memory=max_memory, keeps_all=True
        )
        tight = from_pairs(value.expand(len(regions[0].center), -1), upper=upper)
        return as_output(net, tight.intersect(cheap), objective)


def alpha_intervals(
    program: Program,
    regions: Sequence[Region],
    *,
    steps: int = 5,
    lr: float = 0.25,
    decay: float = 0.98,
    max_memory: int = MAX_MEMORY,
) -> list[Bounds]:
    """Give alpha-CROWN's interval of every step by `steps` of the optimiser each; else as for `alpha_crown`."""

    def bound(intervals: list[Bounds], index: int, form: LinearForm) -> Tensor:
        def improve(part: LinearForm) -> Tensor:
            return optimise(program, intervals, regions, index, part, steps, lr, decay)

        return in_chunks(
            program, intervals, regions, index, form, improve, max_memory=max_memory, keeps_all=True
        )

    passes = crown_passes(program, regions, max_memory=max_memory)
    if steps:
        passes = (*passes, refine_with_planes(program, regions, bound))
    return tighten(program, regions, passes)


def optimise(
    program: Program,
    intervals: Sequence[Bounds],
    regions: Sequence[Region],
    start: int,
    form: LinearForm,
    steps: int,
    lr: float,
    decay: float,
) -> Tensor:
    """Raise the lower bounds of linear forms of a step's output by gradient ascent on the free choices.

    Args:
        program, intervals, regions, start, form: as for `lower_bound`; the intervals stay as they are.
        steps, lr, decay: of Adam.

    Returns:
        The best lower bound of each form, shape (rows, specs).
    """
    thetas: dict[int, Thetas] = {}

    def begin(index: int, here: LinearForm, op: Nonlinear, inputs: Sequence[Bounds]) -> Thetas:
        def spread(theta: Tensor | None) -> Tensor | None:
            if theta is None:
                return None
            # One choice for each form, so that none has to compromise.
            taken = here.take(theta.detach()).unsqueeze(1)
            rows = max(taken.shape[0], here.a.shape[0])
            shape = (rows, here.a.shape[1], *taken.shape[2:])
            return taken.expand(shape).clone().requires_grad_()

        initial = op.initial_thetas(inputs)
        thetas[index] = Thetas(spread(initial.lower), spread(initial.upper))
        return thetas[index]

    def resume(index: int, here: LinearForm, op: Nonlinear, inputs: Sequence[Bounds]) -> Thetas:
        return thetas[index]

    def evaluate(choose: Choose) -> Tensor:
        return lower_bound(program, intervals, regions, start, form, choose=choose)

    if steps == 0:
        return evaluate(default_choice)
    with torch.enable_grad():
        value = evaluate(begin)
        free = [t for pair in thetas.values() for t in (pair.lower, pair.upper) if t is not None]
        best = value.detach()
        if not free or not value.requires_grad:
            return best
        optimiser = torch.optim.Adam(free, lr=lr)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, decay)
        for step in range(steps):
            optimiser.zero_grad(set_to_none=True)
            (-value.sum()).backward(inputs=free)
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for theta in free:
                    theta.clamp_(0, 1)
            with torch.set_grad_enabled(step + 1 < steps):
                value = evaluate(resume)
            best = torch.fmax(best, value.detach())  # a step that overflowed counts for nothing
    return best
