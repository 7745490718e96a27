"""The backward pass: push linear forms from a step towards the inputs, and concretise them there.

Everything is a lower bound: an upper bound is the negative of the lower bound of the negated form. Both travel
as two specs of one form and share all that belongs to the example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from robustsuite.bounds.bounds import Bounds
from robustsuite.bounds.linear_form import Dense, LinearForm, OneHot
from robustsuite.bounds.program import Affine, Input, Program, Shape, Thetas
from robustsuite.perturbation import BoxRegion, Region

DEFAULT: Mapping[int, Thetas] = {}


def lower_bound(
    program: Program,
    intervals: Sequence[Bounds],
    regions: Sequence[Region],
    start: int,
    form: LinearForm,
    *,
    thetas: Mapping[int, Thetas] = DEFAULT,
    through_nonlinear: bool = True,
) -> Tensor:
    """Bound linear forms of a step's output from below.

    Args:
        program, regions: the network and its inputs.
        intervals: of the steps; those before nonlinearities give the planes.
        start: the step whose output the forms belong to.
        form: coefficients, specs in rows (see `LinearForm`).
        thetas: free choices of nonlinear steps; the default ones for steps that are not in it.
        through_nonlinear: False stops at the outputs of nonlinear steps and takes their intervals there.

    Returns:
        Lower bounds, shape (rows, specs); one row per example where the forms were shared.

    Source: Zhang et al. 2018 (CROWN), theorem 3.2; Xu et al. 2020, section 3.1, for general graphs.
    """
    pending: dict[int, LinearForm] = {start: form}
    value: Tensor | float = 0.0

    def send(index: int, part: LinearForm) -> None:
        pending[index] = pending[index].add(part) if index in pending else part

    for index in range(start, -1, -1):
        here = pending.pop(index, None)
        if here is None:
            continue
        step = program.steps[index]
        if isinstance(step.op, Input):
            value = value + _minimum(here, regions[step.op.number])
        elif isinstance(step.op, Affine):
            offset = step.op.offset()
            if offset is not None:
                value = value + _constant(here, offset.expand(-1, *step.shape))
            for source, part in zip(step.inputs, step.op.adjoint(here), strict=True):
                send(source, part)
        elif not through_nonlinear:
            ends = intervals[index]
            box = BoxRegion(ends.lower, ends.lower, ends.upper)
            value = value + box.minimum(here.a, here.take)
        else:
            inputs = [intervals[i] for i in step.inputs]
            parts, constant = step.op.backward(here, inputs, thetas.get(index, Thetas()))
            value = value + constant
            for source, part in zip(step.inputs, parts, strict=True):
                send(source, part)
    assert isinstance(value, Tensor)
    return value


def _minimum(form: LinearForm, region: Region) -> Tensor:
    def take(values: Tensor) -> Tensor:
        return form.take(values.unsqueeze(1))

    return region.minimum(form.a, take)


def _constant(form: LinearForm, offset: Tensor) -> Tensor:
    picked = form.take(offset).flatten(1).unsqueeze(2)
    return torch.matmul(form.a.flatten(2), picked).squeeze(2)


def backward_bounds(
    program: Program,
    intervals: Sequence[Bounds],
    regions: Sequence[Region],
    start: int,
    form: Dense,
    *,
    thetas: Mapping[int, Thetas] = DEFAULT,
    through_nonlinear: bool = True,
    upper: bool = True,
) -> Bounds:
    """Bound dense forms from both sides, shape (batch, specs); `upper` False leaves the upper ends infinite."""
    specs = form.a.shape[1]
    both = form.with_coefficients(torch.cat([form.a, -form.a], 1)) if upper else form
    value = lower_bound(
        program,
        intervals,
        regions,
        start,
        both,
        thetas=thetas,
        through_nonlinear=through_nonlinear,
    )
    value = value.expand(len(regions[0].center), -1)
    if not upper:
        return Bounds(value, torch.full_like(value, torch.inf))
    return Bounds(value[:, :specs], -value[:, specs:])


def identity_form(shape: Shape, *, like: Tensor) -> Dense:
    """Give one form per entry of a tensor, shared by all examples."""
    numel = torch.Size(shape).numel()
    eye = torch.eye(numel, dtype=like.dtype, device=like.device)
    return Dense(None, tuple(shape), eye.view(1, numel, *shape))


def neuron_forms(mask: Tensor, *, like: Tensor) -> OneHot:
    """Give a (+1, -1) pair of specs for each marked neuron of each example: mask has shape (batch, *shape)."""
    # The number of unstable neurons decides the size of all that follows: the one place that waits for the device.
    rows, index = mask.flatten(1).nonzero(as_tuple=True)
    pair = torch.tensor([1.0, -1.0], dtype=like.dtype, device=like.device).expand(len(rows), 2)
    return OneHot(rows, tuple(mask.shape[1:]), index, pair)
