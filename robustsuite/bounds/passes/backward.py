"""The backward pass: push linear forms from a step towards the inputs, and concretise them there.

Everything is a lower bound: an upper bound is the negative of the lower bound of the negated form. Both travel
as two specs of one form and share all that belongs to the example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm, Shape
from robustsuite.bounds.forms.picks import OneHot, Picks
from robustsuite.bounds.forms.pieces import Pieces
from robustsuite.bounds.operations import Affine, Input, Nonlinear, Thetas
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.rounding import rounding, underflow
from robustsuite.bounds.program import Program, Step
from robustsuite.perturbations import BoxRegion, Region
from robustsuite.perturbations.norms import flat, pairing

Choose = Callable[[int, LinearForm, Nonlinear, Sequence[Bounds]], Thetas]
"""Gives the free choices for a step, from its index, the form that arrives, its operation and its input bounds."""

Constrain = Callable[[int, LinearForm], tuple[LinearForm, Tensor | None]]
"""Changes the form that arrives at a step, and gives a constant (rows, specs or 1) to add, or None."""

_TEMPORARIES = 6  # tensors of a form's size that live at once in a step of the pass
_CPU_TILE = (
    2**26
)  # bytes for them: on a CPU, forms that stay in the cache and in reused memory go twice as fast


def default_choice(index: int, form: LinearForm, op: Nonlinear, inputs: Sequence[Bounds]) -> Thetas:
    """Choose the default planes."""
    return Thetas()


def alternative_choice(index: int, form: LinearForm, op: Nonlinear, inputs: Sequence[Bounds]) -> Thetas:
    """Choose the second best planes, where an operation has such."""
    return op.alternative(form) or Thetas()


def unconstrained(index: int, form: LinearForm) -> tuple[LinearForm, Tensor | None]:
    """Leave the form as it is."""
    return form, None


def lower_bound(
    problem: Problem,
    intervals: Sequence[Bounds],
    start: int,
    form: LinearForm,
    *,
    choose: Choose = default_choice,
    through_nonlinear: bool = True,
    constrain: Constrain = unconstrained,
    observe: Callable[[LinearForm], None] | None = None,
) -> Tensor:
    """Bound linear forms of a step's output from below.

    Args:
        problem: the network and its inputs.
        intervals: of the steps; those before nonlinearities give the planes.
        start: the step whose output the forms belong to.
        form: coefficients, specs in rows (see `LinearForm`).
        choose: gives the free choices of the nonlinear steps.
        through_nonlinear: False stops at the outputs of nonlinear steps and takes their intervals there.
        constrain: adds constraints on a step's output by Lagrange multipliers.
        observe: is shown every form on the way (to learn the size of a pass).

    Returns:
        Lower bounds, shape (rows, specs); one row per example where the forms were shared.

    Source: Zhang et al. 2018 (CROWN), theorem 3.2; Xu et al. 2020, section 3.1, for general graphs.
    """
    program, regions = problem.program, problem.regions
    value: Tensor | float = 0.0

    def visit(index: int, step: Step, here: LinearForm) -> Sequence[LinearForm]:
        nonlocal value
        if observe is not None:
            observe(here)
        here, penalty = constrain(index, here)
        if penalty is not None:
            value = value + penalty
        if step.sound:
            slack = rounding(step, [intervals[i] for i in step.inputs], intervals[index], depth=start)
            # A little more than the sum, for its own rounding.
            value = value - 1.01 * pairing(here.a.abs(), here.take(slack).unsqueeze(1))
            if not isinstance(step.op, Input):
                lost = underflow(step, [intervals[i] for i in step.inputs], intervals[index])
                value = value - (lost if here.rows is None else lost[here.rows]).unsqueeze(1)
        if isinstance(step.op, Input):
            value = value + _minimum(here, regions[step.op.number])
            return ()
        if isinstance(step.op, Affine):
            offset = step.op.offset()
            if offset is not None:
                value = value + here.constant(offset.expand(-1, *step.shape))
            return step.op.adjoint(here)
        if not through_nonlinear:
            ends = intervals[index]
            box = BoxRegion(ends.lower, ends.lower, ends.upper)
            value = value + box.minimum(here.a, here.take)
            return ()
        inputs = [intervals[i] for i in step.inputs]
        here = step.op.layout(here)
        thetas = choose(index, here, step.op, inputs)
        parts, constant = step.op.backward(here, inputs, thetas)
        value = value + constant
        return parts

    walk(program, start, form, visit)
    assert isinstance(value, Tensor)
    # Coefficients that overflow say nothing.
    return torch.where(value.isnan(), -torch.inf, value) if program.sound else value


Visit = Callable[[int, Step, LinearForm], Sequence[LinearForm]]
"""Takes the form that has arrived at a step, and gives its parts for the step's inputs; none to go no further."""


def walk(program: Program, start: int, form: LinearForm, visit: Visit) -> None:
    """Carry a form of a step's output backward, adding up what several users send to a step before it is visited."""
    pending: dict[int, LinearForm] = {start: form}
    for index in range(start, -1, -1):
        here = pending.pop(index, None)
        if here is None:
            continue
        step = program.steps[index]
        parts = visit(index, step, here.dense() if isinstance(here, Pieces) else here)
        for source, part in zip(step.inputs, parts, strict=bool(parts)):
            pending[source] = pending[source].add(part) if source in pending else part


def _minimum(form: LinearForm, region: Region) -> Tensor:
    form = form.dense() if region.moves_groups else form

    def take(values: Tensor) -> Tensor:
        return form.take(values.unsqueeze(1))

    return region.minimum(form.a, take)


Pass = Callable[[Problem, Sequence[Bounds], int, LinearForm], Tensor]
"""Bounds linear forms of a step's output from below, from the problem, the intervals so far, the step's index and the
forms: gives (rows, specs)."""


@dataclass(frozen=True, slots=True)
class Chunked:
    """A pass that is made over parts of the forms, small enough for the problem's memory, and joins the results.

    The parts are rows where the forms have them, else specs. A caller's gradient keeps everything: it leaves them whole.

    Args:
        bound: the pass.
        keeps_all: whether it keeps the forms of all steps (for a gradient of its own) or only those under way.
    """

    bound: Pass
    keeps_all: bool = False

    def __call__(self, problem: Problem, intervals: Sequence[Bounds], start: int, form: LinearForm) -> Tensor:
        units, axis = form.units()
        count = self._units_at_once(problem, intervals, start, form)
        if count >= units:
            return self.bound(problem, intervals, start, form)
        parts = [
            self.bound(problem, intervals, start, form.part(at, min(at + count, units)))
            for at in range(0, units, count)
        ]
        if axis == 1:
            rows = max(len(part) for part in parts)
            parts = [part.expand(rows, -1) for part in parts]
        return torch.cat(parts, axis)

    def _units_at_once(
        self, problem: Problem, intervals: Sequence[Bounds], start: int, form: LinearForm
    ) -> int:
        program, max_memory = problem.program, problem.max_memory
        units, axis = form.units()
        if units == 0 or torch.is_grad_enabled() and not self.keeps_all:
            return units
        center = problem.regions[0].center
        examples = len(center) if form.rows is None else 1
        specs = 1 if axis == 1 else form.a.shape[1]
        unit_bytes = center.element_size() * _TEMPORARIES * specs * examples
        tile = min(max_memory, _CPU_TILE) if center.device.type == "cpu" else max_memory
        # First by what the forms can be at most, without a pass.
        most = units * unit_bytes * program.structure.largest[start]
        if most <= tile and most * (len(program.steps) if self.keeps_all else 1) <= max_memory:
            return units
        sizes: list[int] = []
        with torch.no_grad():
            lower_bound(
                problem,
                intervals,
                start,
                form.part(0, 1),
                observe=lambda f: sizes.append(math.prod(f.a.shape[2:])),
            )
        count = tile // (unit_bytes * max(sizes))
        if self.keeps_all:
            count = min(count, max_memory // (unit_bytes * sum(sizes)))
        return max(1, count)


def backward_bounds(
    problem: Problem,
    intervals: Sequence[Bounds],
    start: int,
    form: LinearForm,
    *,
    choose: Choose = default_choice,
    through_nonlinear: bool = True,
    upper: bool = True,
) -> Bounds:
    """Bound forms from both sides, shape (batch, specs); `upper` False leaves the upper ends infinite."""

    both = form.with_negatives() if upper else form
    if through_nonlinear:
        value = Chunked(partial(lower_bound, choose=choose))(problem, intervals, start, both)
    else:
        value = lower_bound(problem, intervals, start, both, through_nonlinear=False)
    return from_pairs(value.expand(problem.batch, -1), upper=upper)


def from_pairs(value: Tensor, *, upper: bool) -> Bounds:
    """Read lower bounds of the forms of `with_negatives`, shape (batch, 2 specs), as bounds (batch, specs)."""
    if not upper:
        return Bounds(value, torch.full_like(value, torch.inf))
    specs = value.shape[1] // 2
    return Bounds(value[:, :specs], -value[:, specs:])


def identity_form(shape: Shape, *, like: Tensor) -> Dense:
    """Give one form per entry of a tensor, shared by all examples."""
    numel = torch.Size(shape).numel()
    eye = torch.eye(numel, dtype=like.dtype, device=like.device)
    return Dense(None, tuple(shape), eye.view(1, numel, *shape))


def forms_of_all(shape: Shape, *, like: Tensor) -> Picks:
    """Give forms (+1 of each entry, then -1 of each) of a tensor, shared by all examples."""
    index, value = _signed_entries(
        math.prod(shape), like.dtype, like.device, torch.is_inference_mode_enabled()
    )
    return Picks(None, tuple(shape), index, value)


@lru_cache(maxsize=64)
def _signed_entries(
    count: int, dtype: torch.dtype, device: torch.device, inference: bool
) -> tuple[Tensor, Tensor]:
    entries = torch.arange(count, device=device)
    one = torch.ones(count, dtype=dtype, device=device)
    return torch.cat([entries, entries]), torch.cat([one, -one])


def neuron_forms(mask: Tensor, *, like: Tensor) -> OneHot:
    """Give a (+1, -1) pair of specs for each marked neuron of each example: mask has shape (batch, *shape)."""
    # The number of unstable neurons decides the size of all that follows: the one place that waits for the device.
    rows, index = flat(mask).nonzero(as_tuple=True)
    pair = torch.tensor([1.0, -1.0], dtype=like.dtype, device=like.device).expand(len(rows), 2)
    return OneHot(rows, tuple(mask.shape[1:]), index, pair)
