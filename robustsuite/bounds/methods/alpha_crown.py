"""alpha-CROWN: CROWN with its free choices (slopes, tangent points, mixtures) optimised by gradient ascent."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_number
from robustsuite.bounds.arguments import Regions, check_memory, checked
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.margins import Margins
from robustsuite.bounds.methods.objectives import as_output, output_forms, with_alternatives
from robustsuite.bounds.passes.ascent import alpha_intervals, optimised
from robustsuite.bounds.passes.backward import from_pairs
from robustsuite.bounds.passes.problem import MAX_MEMORY, Problem
from robustsuite.bounds.tracing.graph import Graph

_INTERMEDIATE_SHARE = 4  # a step for the intermediate bounds per so many for the output


def alpha_crown(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | Margins | None = None,
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
        problem = Problem.of(net.bind(regions), regions, max_memory=max_memory)
        intervals = alpha_intervals(problem, steps=inner, lr=lr, decay=decay)
        form, cheap = output_forms(net, problem, intervals, objective, upper=upper)
        both = form.with_negatives() if upper else form
        value = optimised(steps, lr, decay)(problem, intervals, problem.program.output, both)
        tight = from_pairs(value.expand(problem.batch, -1), upper=upper).intersect(cheap)
        return as_output(net, with_alternatives(problem, intervals, form, tight, upper=upper), objective)
