"""Objectives: rows of linear functions of the output, whose bounds a method finishes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from torch import Tensor

from robustsuite.bounds.arguments import Objective, Regions
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm
from robustsuite.bounds.forms.margins import Margins
from robustsuite.bounds.passes.backward import alternative_choice, backward_bounds, identity_form
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.program import Program
from robustsuite.bounds.tracing.graph import Graph
from robustsuite.errors import InvalidInput
from robustsuite.perturbations.norms import flat


@runtime_checkable
class Method(Protocol):
    """What `ibp`, `crown_ibp`, `crown` and the other bound methods have in common."""

    def __call__(
        self, net: Graph, region: Regions, *, objective: Objective | None = None, upper: bool = True
    ) -> Bounds: ...


def objective_form(net: Graph, program: Program, objective: Objective, *, like: Tensor) -> LinearForm:
    """Check an objective and give it as linear forms of the program's output.

    Raises:
        InvalidInput: its shape is neither (specs, *output) nor (batch, specs, *output).
    """
    output, shape = net.output_shape, program.steps[program.output].shape
    batch, lead = len(like), len(objective.shape) - len(net.output_shape)
    rows = objective.shape[: max(0, lead)]
    fits = lead >= 0 and tuple(objective.shape[lead:]) == output
    if not fits or len(rows) not in (1, 2) or (len(rows) == 2 and rows[0] not in (1, batch)):
        raise InvalidInput(
            f"objective has shape {tuple(objective.shape)}; expected (specs, *output) = (specs, "
            f"{', '.join(map(str, output))}) or (batch, specs, *output) with batch {batch}"
        )
    if isinstance(objective, Margins):
        return replace(objective.form(like), shape=shape)
    a = objective.to(like).reshape(-1 if len(rows) == 2 else 1, rows[-1], *shape)
    return Dense(None, shape, a)


def finish(
    net: Graph,
    problem: Problem,
    intervals: Sequence[Bounds],
    objective: Objective | None,
    *,
    upper: bool = True,
    through_nonlinear: bool = True,
    alternatives: bool = False,
) -> Bounds:
    """Bound the output, or an objective of it, and intersect with what intervals alone give.

    Args:
        alternatives: whether a second pass takes the other planes of products, where the network has any.
    """
    form, cheap = output_forms(net, problem, intervals, objective, upper=upper)
    if through_nonlinear:
        tight = backward_bounds(problem, intervals, problem.program.output, form, upper=upper)
        cheap = tight.intersect(cheap)
        if alternatives:
            cheap = with_alternatives(problem, intervals, form, cheap, upper=upper)
    return as_output(net, cheap, objective)


def with_alternatives(
    problem: Problem, intervals: Sequence[Bounds], form: LinearForm, bounds: Bounds, *, upper: bool
) -> Bounds:
    """Intersect bounds of forms of the output with those of the other planes of products, where there are any."""
    if not problem.analysis.structure.has_choice:
        return bounds
    other = backward_bounds(
        problem, intervals, problem.program.output, form, choose=alternative_choice, upper=upper
    )
    return other.intersect(bounds)


def output_forms(
    net: Graph,
    problem: Problem,
    intervals: Sequence[Bounds],
    objective: Objective | None,
    *,
    upper: bool,
) -> tuple[LinearForm, Bounds]:
    """Give the forms whose bounds are wanted, and bounds of them from the intervals alone, (batch, specs)."""
    program, at = problem.program, problem.program.output
    ends = intervals[at]
    if objective is None:
        return identity_form(program.steps[at].shape, like=ends.lower), Bounds(
            flat(ends.lower), flat(ends.upper)
        )
    form = objective_form(net, program, objective, like=ends.lower)
    return form, backward_bounds(problem, intervals, at, form, through_nonlinear=False, upper=upper)


def as_output(net: Graph, bounds: Bounds, objective: Objective | None) -> Bounds:
    """Give bounds of shape (batch, specs) the shape of the output, where no objective was given."""
    return bounds if objective is not None else bounds.view(-1, *net.output_shape)
