"""Complete verification: attack first, then branch and bound over the input or over neurons.

A property says that no input of the region satisfies certain inequalities of the outputs. Bounds that are not
tight enough are made so by splitting: the region's box where there are few inputs (`input_splitting`), else the
interval of a neuron before a nonlinearity, at 0 for a ReLU and in the middle for others (`neuron_splitting`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite.arguments import check_generator, check_number
from robustsuite.bounds.arguments import Regions, check_finite, check_rows, checked
from robustsuite.bounds.branching.beta_crown import split_neurons
from robustsuite.bounds.branching.input_splitting import split_inputs
from robustsuite.bounds.branching.query import Point, Query, attack
from robustsuite.bounds.forms.margins import Margins
from robustsuite.bounds.tracing.graph import Graph
from robustsuite.errors import InvalidInput

FEW_INPUTS = 20  # up to here, splitting inputs decides more than splitting neurons


class Answer(Enum):
    """What is known of a property."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """The answer for one example.

    Attributes:
        answer: whether the property holds.
        counterexample: where it is violated, an input of the region, shape (*input), that was run through the
            network; else None. Of several inputs, the first.
        others: its further inputs, where the network takes several.
        domains: how many parts of the region were bounded.
        seconds: spent.
    """

    answer: Answer
    counterexample: Tensor | None
    domains: int
    seconds: float
    others: tuple[Tensor, ...] = ()


def verify(
    net: Graph,
    region: Regions,
    objective: Float[Tensor, "..."] | Margins,
    *,
    offset: Float[Tensor, " specs"] | None = None,
    groups: Int[Tensor, " specs"] | None = None,
    timeout: float = 60.0,
    generator: torch.Generator | None = None,
) -> tuple[Verdict, ...]:
    """Decide for each example whether its property holds on the whole region.

    The property: for no input x is there a group of rows with ``objective @ f(x) + offset <= 0`` in all of its
    rows. With `margins` as the objective and each row a group of its own (the default), it says that the
    predicted class cannot change.

    Args:
        net: from `trace`, in eval mode.
        region: from `Perturbation.around`, or a tuple with one region per input.
        objective: shape (specs, *output) or (batch, specs, *output); or a classifier's `margins`.
        offset: added to the rows, shape (specs,); zero by default.
        groups: the group of each row, integers of shape (specs,); each row alone by default.
        timeout: seconds for each example, > 0.
        generator: for the attack's starting points.

    Returns:
        A verdict per example. HOLDS is proved by bounds (up to rounding); VIOLATED comes with an input that was
        run through the network; UNKNOWN means that time ran out.

    Raises:
        InvalidInput: shapes do not fit, or the timeout is not positive.

    Source: Bunel et al. 2020 (branch and bound); Wang et al. 2021 (2103.06624, beta-CROWN), section 3.
    """
    check_number("timeout", timeout, above=0, endless=True)
    check_generator(generator)
    objective = objective.rows() if isinstance(objective, Margins) else objective
    check_finite(objective, "objective")
    regions = checked(net, region)
    center = regions[0].center
    rank = len(net.output_shape)
    if objective.dim() == rank + 1:
        objective = objective.unsqueeze(0).expand(len(center), *objective.shape)
    fits = objective.dim() == rank + 2 and len(objective) == len(center) and objective.shape[1] > 0
    if not fits or tuple(objective.shape[2:]) != net.output_shape:
        raise InvalidInput(
            f"objective has shape {tuple(objective.shape)}; expected (specs, *output) or (batch, specs, *output) "
            f"with batch {len(center)} and output {net.output_shape}"
        )
    specs = objective.shape[1]
    offset = torch.zeros(specs) if offset is None else offset
    groups = torch.arange(specs) if groups is None else groups
    check_rows("offset", offset, specs, integer=False)
    check_rows("groups", groups, specs, integer=True)
    verdicts = []
    for example in range(len(center)):
        index = torch.tensor([example], device=center.device)
        parts = tuple(part.select(index) for part in regions)
        rows, constants = _grouped(objective[example].to(center), offset.to(center), groups)
        query = Query(net, parts, rows, constants, time.monotonic() + timeout)
        verdicts.append(_decide(query, timeout, generator))
    return tuple(verdicts)


def _grouped(rows: Tensor, offset: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Stack the rows by group; shorter groups repeat their first row."""
    members = [(groups == g).nonzero().squeeze(1) for g in groups.unique().tolist()]
    longest = max(len(m) for m in members)
    index = torch.stack([torch.cat([m, m[:1].expand(longest - len(m))]) for m in members]).to(rows.device)
    return rows[index], offset[index]


def _decide(query: Query, timeout: float, generator: torch.Generator | None) -> Verdict:
    start = time.monotonic()

    def verdict(answer: Answer, point: Point | None, domains: int) -> Verdict:
        first, *others = point or (None,)
        return Verdict(
            answer=answer,
            counterexample=first,
            domains=domains,
            seconds=time.monotonic() - start,
            others=tuple(other for other in others if other is not None),
        )

    found = attack(query, generator)
    if found is not None:
        return verdict(Answer.VIOLATED, found, 0)
    first = query.regions[0]
    few = len(query.regions) == 1 and first.is_box and first.center[0].numel() <= FEW_INPUTS
    holds, found, domains = split_inputs(query) if few else split_neurons(query)
    if found is not None:
        return verdict(Answer.VIOLATED, found, domains)
    return verdict(Answer.HOLDS if holds else Answer.UNKNOWN, None, domains)
