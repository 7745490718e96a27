"""Gradient ascent on the free choices of planes: slopes, tangent points, mixtures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.operations import Nonlinear, Thetas
from robustsuite.bounds.passes.backward import Choose, default_choice, in_chunks, lower_bound
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.refinement import crown_passes, refine_with_planes, tighten


def alpha_intervals(
    problem: Problem,
    *,
    steps: int = 5,
    lr: float = 0.25,
    decay: float = 0.98,
) -> list[Bounds]:
    """Give alpha-CROWN's interval of every step by `steps` of the optimiser each; else as for `alpha_crown`."""

    def bound(intervals: list[Bounds], index: int, form: LinearForm) -> Tensor:
        def improve(part: LinearForm) -> Tensor:
            return optimise(problem, intervals, index, part, steps, lr, decay)

        return in_chunks(problem, intervals, index, form, improve, keeps_all=True)

    passes = crown_passes(problem)
    if steps:
        passes = (*passes, refine_with_planes(problem, bound))
    return tighten(problem, passes)


def optimise(
    problem: Problem,
    intervals: Sequence[Bounds],
    start: int,
    form: LinearForm,
    steps: int,
    lr: float,
    decay: float,
) -> Tensor:
    """Raise the lower bounds of linear forms of a step's output by gradient ascent on the free choices.

    Args:
        problem, intervals, start, form: as for `lower_bound`; the intervals stay as they are.
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
        return lower_bound(problem, intervals, start, form, choose=choose)

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
