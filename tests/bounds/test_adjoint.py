"""The adjoint of every affine step: <A, J v> = <A J, v> for random coefficients A and directions v."""

from __future__ import annotations

import pytest
import torch

from robustsuite import seeding
from robustsuite.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm
from robustsuite.bounds.forms.picks import OneHot
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Affine
from robustsuite.bounds.program import Program, Ref, Step
from robustsuite.perturbations import Linf

from .cases import NETWORKS, OPERATORS, Case, traced


def _affine_steps(case: Case) -> tuple[Program, list[Step]]:
    program = traced(case).bind((Linf(0.1).around(case.inputs()),))
    return program, [step for step in program.steps if isinstance(step.op, Affine)]


CASES = OPERATORS + NETWORKS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_adjoint(case: Case) -> None:
    program, steps = _affine_steps(case)
    generator = seeding.generator(2, case.name)
    for step in steps:
        op = step.op
        assert isinstance(op, Affine)
        shapes = [program.steps[i].shape for i in step.inputs]
        points = [torch.randn((2, *s), generator=generator) for s in shapes]
        moved = [p + torch.randn(p.shape, generator=generator) for p in points]
        before, after = op.forward(*points), op.forward(*moved)
        change = (after - before).unsqueeze(1)
        atol = 1e-4 + 1e-6 * float(before.detach().abs().max())  # masks are numbers of the size of 1e9
        for form in _forms(step, generator):
            expected = (form.dense().a * change).flatten(2).sum(2)
            parts = op.adjoint(form)
            got = sum(
                (part.dense().a * (m - p).unsqueeze(1)).flatten(2).sum(2)
                for part, m, p in zip(parts, moved, points, strict=True)
            )
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=atol, msg=f"{step.where}: {op}")


def _forms(step: Step, generator: torch.Generator) -> list[LinearForm]:
    """Give a dense form, and one of single neurons (which convolutions turn into windows)."""
    dense = Dense(None, step.shape, torch.randn((2, 3, *step.shape), generator=generator))
    numel = torch.Size(step.shape).numel()
    index = torch.randint(numel, (2,), generator=generator)
    neuron = OneHot(torch.arange(2), step.shape, index, torch.tensor([[1.0, -1.0], [2.0, -0.5]]))
    return [dense, neuron]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_offset_and_interval_of_affine_steps(case: Case) -> None:
    """The offset is the value at zero; the interval holds the corners, and is that of a point at a point."""
    program, steps = _affine_steps(case)
    generator = seeding.generator(3, case.name)
    for step in steps:
        op = step.op
        assert isinstance(op, Affine)
        shapes = [program.steps[i].shape for i in step.inputs]
        at_zero = op.forward(*(torch.zeros((2, *s)) for s in shapes))
        offset = op.offset()
        expected = torch.zeros_like(at_zero) if offset is None else offset.expand_as(at_zero)
        torch.testing.assert_close(at_zero, expected, msg=f"{step.where}: {op}")
        points = [torch.randn((2, *s), generator=generator) for s in shapes]
        value = op.forward(*points)
        assert value.shape[1:] == step.shape
        same = op.interval(*(Bounds(p, p) for p in points))
        torch.testing.assert_close(same.lower, value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(same.upper, value, rtol=1e-4, atol=1e-5)
        around = [Bounds(p - 0.5, p + 0.25) for p in points]
        ends = op.interval(*around)
        for _ in range(5):
            corner = [
                torch.where(torch.rand(b.lower.shape, generator=generator) < 0.5, b.lower, b.upper)
                for b in around
            ]
            y = op.forward(*corner)
            assert bool(((y >= ends.lower - 1e-4) & (y <= ends.upper + 1e-4)).all())


@pytest.mark.parametrize("case", [c for c in CASES if c.affine][::4], ids=str)
def test_planes_of_affine_steps(case: Case) -> None:
    """Pushed forward, equal planes below and above stay equal, and say what the map does to a line."""
    program, steps = _affine_steps(case)
    generator = seeding.generator(4, case.name)
    for step in steps:
        op = step.op
        assert isinstance(op, Affine)
        shapes = [program.steps[i].shape for i in step.inputs]
        slopes = [torch.randn((2, 3, *s), generator=generator) for s in shapes]
        constants = [torch.randn((2, *s), generator=generator) for s in shapes]
        made = op.planes(*(Planes(s, c, s, c) for s, c in zip(slopes, constants, strict=True)))
        z = torch.randn((3,), generator=generator)

        def at(slope: torch.Tensor, constant: torch.Tensor, z: torch.Tensor = z) -> torch.Tensor:
            return torch.einsum("bi...,i->b...", slope, z) + constant

        expected = op.forward(*(at(s, c) for s, c in zip(slopes, constants, strict=True)))
        for slope, constant in (
            (made.lower_slope, made.lower_constant),
            (made.upper_slope, made.upper_constant),
        ):
            torch.testing.assert_close(at(slope, constant), expected, rtol=1e-3, atol=1e-3)


def test_clean_values_are_the_networks() -> None:
    for case in NETWORKS:
        net, x = traced(case), case.inputs()
        program = net.bind((Linf(0.1).around(x),))
        y = program.value(Ref(program.output, program.steps[program.output].shape))
        torch.testing.assert_close(y.view(-1, *net.output_shape), net.module(x), rtol=1e-4, atol=1e-5)
