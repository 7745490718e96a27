"""Interval bound propagation (IBP). Source: Gowal et al. 2018, section 3."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from robustsuite.bounds.arguments import Regions, checked
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.margins import Margins
from robustsuite.bounds.methods.objectives import finish
from robustsuite.bounds.passes.intervals import propagate
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.tracing.graph import Graph


def ibp(
    net: Graph,
    region: Regions,
    *,
    objective: Float[Tensor, "..."] | Margins | None = None,
    upper: bool = True,
) -> Bounds:
    """Bound a network's outputs by interval arithmetic: the cheapest method and the loosest.

    Two refinements cost little: the affine layers before the first nonlinearity are bounded exactly on a region
    that is not a box (dual norm), and an objective is multiplied into the last affine layers first.

    Args:
        net: from `trace`.
        region: from `Perturbation.around`, or a tuple with one region per input.
        objective: rows C of linear functions of the output, shape (specs, *output) or (batch, specs, *output);
            or a classifier's `margins`.
        upper: False leaves the upper ends at infinity, and saves their cost.

    Returns:
        Bounds of shape (batch, *output), or (batch, specs) with an objective. Differentiable.

    Raises:
        InvalidInput: shapes of region or objective do not fit the network.
        UnboundedOutput: a step has no finite bounds on this region.

    Source: Gowal et al. 2018, section 3.
    """
    regions = checked(net, region, objective)
    problem = Problem.of(net.bind(regions), regions)
    return finish(net, problem, propagate(problem), objective, upper=upper, through_nonlinear=False)
