"""Upper bounds of the cross entropy on a region: what certified training minimises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from robustsuite.arguments import check_number
from robustsuite.bounds.arguments import Regions, check_classifier, checked
from robustsuite.bounds.forms.margins import Margins, margins
from robustsuite.bounds.methods.objectives import output_forms
from robustsuite.bounds.passes.backward import backward_bounds
from robustsuite.bounds.passes.intervals import propagate
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.relaxations.log_sum_exp import mean_decay
from robustsuite.bounds.tracing.graph import Graph
from robustsuite.perturbations import Region


@dataclass(frozen=True, slots=True, eq=False)
class CrossEntropyBound:
    """What is proved of each example's cross entropy on its region.

    Attributes:
        upper: no input of the region has a larger cross entropy, in nats, shape (batch,). Differentiable.
        certified: whether no input of the region changes the class, shape (batch,).
    """

    upper: Float[Tensor, " batch"]
    certified: Bool[Tensor, " batch"]


@runtime_checkable
class CrossEntropyMethod(Protocol):
    """What `margin_cross_entropy` and `fused_cross_entropy` have in common."""

    def __call__(
        self, net: Graph, region: Regions, labels: Int[Tensor, " batch"], *, beta: float = 1.0
    ) -> CrossEntropyBound: ...


def margin_cross_entropy(
    net: Graph, region: Regions, labels: Int[Tensor, " batch"], *, beta: float = 1.0
) -> CrossEntropyBound:
    """Bound the cross entropy by that of the worst margins, each bounded by itself: one row for each wrong class.

    With lower bounds ``m_j <= f_y - f_j`` the cross entropy is at most ``log(1 + sum_j exp(-m_j))``.

    Args:
        net: a traced classifier with outputs (batch, classes).
        region: from `Perturbation.around`, or a tuple with one region per input.
        labels: class of each example.
        beta: the margins' bounds are ``beta CROWN-IBP + (1 - beta) IBP``; 0 is IBP alone and saves the backward
            pass.

    Raises:
        InvalidInput: labels or shapes do not fit.
        UnboundedOutput: a step has no finite bounds on this region.

    Source: Wong and Kolter 2018, theorem 2; Zhang et al. 2020 (CROWN-IBP), equations 12 and 13.
    """
    regions = checked(net, region)
    rows = _margins(net, regions, labels, beta)
    problem = Problem.of(net.bind(regions), regions)
    intervals, output = propagate(problem), problem.program.output
    form, cheap = output_forms(net, problem, intervals, rows, upper=False)
    lower = cheap.lower
    if beta > 0:
        tight = backward_bounds(problem, intervals, output, form, upper=False)
        lower = _mixed(beta, torch.maximum(tight.lower, lower), lower)
    return CrossEntropyBound(upper=_log_sum_exp(-lower), certified=(lower.detach() > 0).all(1))


def fused_cross_entropy(
    net: Graph, region: Regions, labels: Int[Tensor, " batch"], *, beta: float = 1.0
) -> CrossEntropyBound:
    """Bound the cross entropy itself, as one more node of the network: one row in place of one per wrong class.

    IBP gives intervals ``[l_j, u_j]`` of ``f_j - f_y``, on which the chord lies above the exponential:
    ``exp(m) <= exp(l_j) + t_j (m - l_j)``. The sum of the chords is one linear function of the output, with the
    row ``sum_j t_j (e_j - e_y)``, which CROWN-IBP bounds. The backward pass no
    longer grows with the number of classes; what is left, the margins' intervals, is linear in it.
    Never looser than IBP; against `margin_cross_entropy` at the same `beta` either may be the tighter.

    Args, Returns and Raises: as for `margin_cross_entropy`, and
        beta: the bound is ``beta CROWN-IBP's + (1 - beta) IBP's``.

    Source: Xu et al. 2020 (auto_LiRPA), section 3.3 (loss fusion).
    """
    regions = checked(net, region)
    rows = _margins(net, regions, labels, beta)
    problem = Problem.of(net.bind(regions), regions)
    intervals, output = propagate(problem), problem.program.output
    _, ends = output_forms(net, problem, intervals, rows, upper=beta > 0)
    low, high = -ends.upper, -ends.lower
    by_ibp, certified = _log_sum_exp(high), (high.detach() < 0).all(1)
    if beta == 0:
        return CrossEntropyBound(upper=by_ibp, certified=certified)
    # The exponentials are divided by the largest. The shift only scales the row: its gradient is no part of the
    # result's.
    shift = high.detach().amax(1, keepdim=True).clamp(min=0)
    slope = torch.exp(high - shift) * mean_decay(high - low)
    row = rows.to(slope).sum(slope).unsqueeze(1)
    form, cheap = output_forms(net, problem, intervals, row, upper=False)
    tight = backward_bounds(problem, intervals, output, form, upper=False)
    most = -torch.maximum(tight.lower, cheap.lower)
    # No chord is negative above its start: rounding may not make their sum so.
    above = (most - (slope * low).sum(1, keepdim=True)).clamp(min=0)
    total = torch.exp(-shift) + torch.exp(low - shift).sum(1, keepdim=True) + above
    fused = (shift + total.clamp(min=torch.finfo(total.dtype).tiny).log()).squeeze(1)
    # Below log 2 the label has more than half of the probability.
    return CrossEntropyBound(
        upper=_mixed(beta, fused, by_ibp), certified=certified | (fused.detach() < math.log(2))
    )


def _margins(net: Graph, regions: Sequence[Region], labels: Tensor, beta: float) -> Margins:
    check_number("beta", beta, least=0, most=1)
    check_classifier(net, regions, labels)
    return margins(net.output_shape[0], labels)


def _mixed(beta: float, tight: Tensor, cheap: Tensor) -> Tensor:
    return tight if beta == 1 else beta * tight + (1 - beta) * cheap


def _log_sum_exp(m: Float[Tensor, "batch others"]) -> Float[Tensor, " batch"]:
    """Give log(1 + sum exp(m)): the cross entropy of the logits (0 for the label, m)."""
    return torch.logsumexp(functional.pad(m, (1, 0)), 1)
