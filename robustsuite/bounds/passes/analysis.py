"""What is known of a program's steps before any bound: which are exact, and whose intervals are needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from robustsuite.bounds.program import Affine, Input, Nonlinear, Program
from robustsuite.bounds.relaxations.product import MatrixProduct, Product
from robustsuite.perturbations import Region


def released(program: Program) -> list[list[int]]:
    """Say whose intervals nobody needs any more once that of a step is known: most of the memory of deep networks.

    Needed to the end are those of the inputs of nonlinear steps (planes are made from them), of the output, and those
    that the output is an affine function of.
    """
    steps = program.steps
    freed: list[list[int]] = [[] for _ in steps]
    if program.sound:
        return freed  # rounding looks at all of them
    kept = {program.output}
    last = list(range(len(steps)))
    for index, step in enumerate(steps):
        if isinstance(step.op, Nonlinear):
            kept.update(step.inputs)
        for i in (*step.inputs, *step.refine_from):
            last[i] = index
    pending = [program.output]
    while pending:
        step = steps[pending.pop()]
        if isinstance(step.op, Affine):
            kept.update(step.inputs)
            pending.extend(step.inputs)
    for i, index in enumerate(last):
        if i not in kept:
            freed[index].append(i)
    return freed


def exact_frontier(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say which steps are affine in a region that is not a box, and feed a nonlinearity or the output.

    For them the dual norm gives the exact interval, which the interval hull of the region would widen. Where each
    entry is one of the input's (a transposed kernel, say) the hull loses nothing.
    """
    if all(region.is_box for region in regions):
        return [False] * len(program.steps)
    fixed, moved = fixed_steps(program, regions), moved_steps(program)
    affine = affine_steps(program, fixed)
    users = program.users()
    return [
        affine[i]
        and not (moved[i] or fixed[i])
        and (i == program.output or any(not affine[user] for user, _ in users[i]))
        for i in range(len(program.steps))
    ]


def fixed_steps(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say which steps have one value only, because an input among several is not perturbed."""
    fixed: list[bool] = []
    for step in program.steps:
        if isinstance(step.op, Input):
            region = regions[step.op.number]
            # A wait for the device, for each input where there are several.
            fixed.append(len(regions) > 1 and torch.equal(region.lower, region.upper))
        else:
            fixed.append(all(fixed[i] for i in step.inputs))
    return fixed


def affine_steps(program: Program, fixed: Sequence[bool]) -> list[bool]:
    """Say which steps are affine functions of the inputs that are not fixed."""
    affine: list[bool] = []
    for index, step in enumerate(program.steps):
        free = [i for i in step.inputs if not fixed[i]]
        # A product with a fixed factor is linear, and so are its planes.
        linear = isinstance(step.op, Input | Affine) or (
            isinstance(step.op, Product | MatrixProduct) and len(free) == 1
        )
        affine.append(fixed[index] or (linear and all(affine[i] for i in free)))
    return affine


def moved_steps(program: Program) -> list[bool]:
    """Say for which steps each entry comes from one entry of an input, so that intervals are exact."""
    moved: list[bool] = []
    for step in program.steps:
        alone = isinstance(step.op, Affine) and len(step.inputs) == 1 and moved[step.inputs[0]]
        moved.append(
            isinstance(step.op, Input)
            or (alone and isinstance(step.op, Affine) and step.op.keeps_features_apart())
        )
    return moved


def exact_steps(program: Program, regions: Sequence[Region]) -> list[bool]:
    """Say for which steps IBP is exact already, so that no other method can improve on it."""
    exact, apart = [], []
    frontier, moved = exact_frontier(program, regions), moved_steps(program)
    for index, step in enumerate(program.steps):
        if isinstance(step.op, Input):
            exact.append(True)
            apart.append(regions[step.op.number].is_box)
        elif isinstance(step.op, Affine) and len(step.inputs) == 1:
            source = step.inputs[0]
            exact.append(frontier[index] or moved[index] or apart[source])
            apart.append(apart[source] and step.op.keeps_features_apart())
        else:
            exact.append(frontier[index])
            apart.append(False)
    return exact
