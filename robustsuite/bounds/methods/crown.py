"""CROWN and CROWN-IBP: bounds by planes pushed backward through the network."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from robustsuite.bounds.arguments import Regions, check_memory, checked
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.margins import Margins
from robustsuite.bounds.methods.objectives import finish
from robustsuite.bounds.passes.intervals import propagate
from robustsuite.bounds.passes.problem import MAX_MEMORY, Problem
from robustsuite.bounds.passes.refinement import intervals_of
from robustsuite.bounds.tracing.graph import Graph


def crown_ibp(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | Margins | None = None,
    upper: bool = True,
    max_memory: int = MAX_MEMORY,
) -> Bounds:
    """Bound a network's outputs by one backward pass over intervals that IBP gives.

    Little dearer than `ibp` for few outputs, and never wider: what certified training uses. Products of two perturbed
    tensors have two natural planes on each side: where there are any, there is a second pass, with the others.

    Args and Returns: as for `ibp`, and
        max_memory: bytes that the coefficients of one part of a pass may take; the specs are split accordingly
            (without a gradient: a gradient keeps everything).

    Source: Zhang et al. 2020 (CROWN-IBP), section 3.2.
    """
    check_memory(max_memory)
    regions = checked(net, region, objective)
    problem = Problem.of(net.bind(regions), regions, max_memory=max_memory)
    return finish(net, problem, propagate(problem), objective, upper=upper, alternatives=True)


def crown(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | Margins | None = None,
    upper: bool = True,
    max_memory: int = MAX_MEMORY,
) -> Bounds:
    """Bound a network's outputs by backward passes, for the inputs of all nonlinearities too.

    Only neurons whose interval leaves something to gain (unstable ReLUs, say) get a backward pass; every interval
    is intersected with what was known, so the result is never wider than that of `ibp`. Nor, as a rule, than that of
    `crown_ibp`: only a default slope that a tighter interval turns over can cost a hair. Products of two perturbed
    tensors have two natural planes on each side: the last pass is made with either.

    Args and Returns: as for `ibp`, and
        max_memory: bytes that the coefficients of one part of a pass may take; the specs are split accordingly
            (without a gradient: a gradient keeps everything).

    Source: Zhang et al. 2018 (CROWN), section 3; adaptive lower slopes.
    """
    check_memory(max_memory)
    regions = checked(net, region, objective)
    problem = Problem.of(net.bind(regions), regions, max_memory=max_memory)
    return finish(net, problem, intervals_of(problem), objective, upper=upper, alternatives=True)
