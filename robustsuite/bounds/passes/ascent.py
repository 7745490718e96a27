"""Gradient ascent on the free choices of planes: slopes, tangent points, mixtures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.operations import Nonlinear, Thetas
from robustsuite.bounds.passes.backward import Chunked, lower_bound
from robustsuite.bounds.passes.problem import Problem
from robustsuite.bounds.passes.refinement import crown_passes, refine_with_planes, tighten


@dataclass(frozen=True, slots=True, eq=False)
class Free:
    """Tensors that an ascent moves, within [0, `most`].

    Attributes:
        tensors: leaves that require a gradient.
        lr: of Adam.
        most: upper end of what they may be.
    """

    tensors: Sequence[Tensor]
    lr: float
    most: float = math.inf


def ascend(
    evaluate: Callable[[], Tensor],
    free: Callable[[], Sequence[Free]],
    *,
    steps: int,
    decay: float,
    enough: Callable[[Tensor], bool] = lambda best: False,
) -> Tensor:
    """Raise lower bounds by Adam on free choices, and give the best of each that was met.

    Args:
        evaluate: gives lower bounds, by the choices as they stand.
        free: gives the choices; asked after the first evaluation, which may make them.
        steps: of the optimiser.
        decay: of the learning rates per step.
        enough: says, of the best bounds so far, whether to stop early.

    Returns:
        Of the shape that `evaluate` gives. What was NaN counts for nothing.
    """
    with torch.enable_grad():
        value = evaluate()
        best = torch.fmax(value.detach(), torch.full_like(value, -torch.inf))
        groups = [group for group in free() if group.tensors]
        if not groups or not value.requires_grad:
            return best
        leaves = [tensor for group in groups for tensor in group.tensors]
        optimiser = torch.optim.Adam([{"params": list(g.tensors), "lr": g.lr} for g in groups])
        for left in range(steps, 0, -1):
            if enough(best):
                break
            optimiser.zero_grad(set_to_none=True)
            (-value.sum()).backward(inputs=leaves)
            optimiser.step()
            with torch.no_grad():
                for group in groups:
                    for tensor in group.tensors:
                        tensor.clamp_(0, group.most)
            for part in optimiser.param_groups:
                part["lr"] *= decay
            with torch.set_grad_enabled(left > 1):
                value = evaluate()
            best = torch.fmax(best, value.detach())  # a step that overflowed counts for nothing
    return best


def for_each_form(op: Nonlinear, here: LinearForm, inputs: Sequence[Bounds]) -> Thetas:
    """Give the default choices as leaves, one for each form, so that none has to compromise.

    Args:
        op: the operation.
        here: the forms that arrive at it.
        inputs: bounds of its inputs.
    """

    def spread(theta: Tensor | None) -> Tensor | None:
        if theta is None:
            return None
        taken = here.take(theta.detach()).unsqueeze(1)
        rows = max(taken.shape[0], here.a.shape[0])
        shape = (rows, here.a.shape[1], *taken.shape[2:])
        return taken.expand(shape).clone().requires_grad_()

    initial = op.initial_thetas(inputs)
    return Thetas(spread(initial.lower), spread(initial.upper))


def tensors_of(thetas: Sequence[Thetas]) -> list[Tensor]:
    """Give the tensors of choices that are made freely."""
    return [t for pair in thetas for t in (pair.lower, pair.upper) if t is not None]


def alpha_intervals(
    problem: Problem,
    *,
    steps: int = 5,
    lr: float = 0.25,
    decay: float = 0.98,
) -> list[Bounds]:
    """Give alpha-CROWN's interval of every step by `steps` of the optimiser each; else as for `alpha_crown`."""
    passes = crown_passes(problem)
    if steps:
        passes = (*passes, refine_with_planes(problem, optimised(steps, lr, decay)))
    return tighten(problem, passes)


def optimised(steps: int, lr: float, decay: float) -> Chunked:
    """Give the pass that raises the lower bounds of linear forms of a step's output by gradient ascent on the free choices.

    Args:
        steps, lr, decay: of Adam; 0 steps make the plain pass.
    """

    def bound(problem: Problem, intervals: Sequence[Bounds], start: int, form: LinearForm) -> Tensor:
        if steps == 0:
            return lower_bound(problem, intervals, start, form)
        thetas: dict[int, Thetas] = {}

        def choose(index: int, here: LinearForm, op: Nonlinear, inputs: Sequence[Bounds]) -> Thetas:
            if index not in thetas:
                thetas[index] = for_each_form(op, here, inputs)
            return thetas[index]

        def evaluate() -> Tensor:
            return lower_bound(problem, intervals, start, form, choose=choose)

        def free() -> list[Free]:
            return [Free(tensors_of(list(thetas.values())), lr, 1.0)]

        return ascend(evaluate, free, steps=steps, decay=decay)

    return Chunked(bound, keeps_all=True)
