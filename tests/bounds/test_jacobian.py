"""Bounds of Jacobians and of local Lipschitz constants."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.bounds import Graph
from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.perturbations import L2, Linf, Perturbation

from .cases import METHODS, Applied, Case, Residual, of, traced
from .search import assert_encloses, extremes

SMOOTH = [
    Case("tanh", lambda: nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)), (3,)),
    Case("sigmoid", lambda: nn.Sequential(nn.Linear(3, 6), nn.Sigmoid(), nn.Linear(6, 2)), (3,)),
    Case("gelu", lambda: nn.Sequential(nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 2)), (3,)),
    Case("silu", lambda: nn.Sequential(nn.Linear(3, 6), nn.SiLU(), nn.Linear(6, 2)), (3,)),
    Case("softplus", lambda: nn.Sequential(nn.Linear(3, 6), nn.Softplus(), nn.Linear(6, 2)), (3,)),
    Case("softmax", lambda: nn.Sequential(nn.Linear(3, 4), nn.Softmax(1)), (3,)),
    Case("square", of(lambda x: x[:, :2] ** 2 * x[:, 1:]), (3,)),
]
KINKED = [
    Case(
        "relu",
        lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)),
        (3,),
    ),
    Case("leaky relu", lambda: nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(0.2), nn.Linear(6, 2)), (3,)),
    Case(
        "conv",
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2)),
        (1, 4, 4),
    ),
    Case(
        "max pool",
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2)),
        (1, 4, 4),
    ),
    Case("residual", lambda: nn.Sequential(Residual(nn.Linear(3, 3)), nn.Linear(3, 2)), (3,)),
]
CASES = SMOOTH + KINKED


@functools.cache
def slopes_of(case: Case) -> Graph:
    return bounds.jacobian(traced(case))


@pytest.mark.parametrize("perturbation", [Linf(0.2), L2(0.3)], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_holds_every_jacobian(case: Case, perturbation: Perturbation) -> None:
    slopes, region = slopes_of(case), perturbation.around(case.inputs())
    found = extremes(slopes.module, region, samples=60, corners=30, steps=10)
    for method in METHODS:
        assert_encloses(method.call(slopes, region), found, hint=f"by {method}")


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_is_the_jacobian_where_nothing_moves(case: Case) -> None:
    module, x, slopes = traced(case).module, case.inputs(), slopes_of(case)
    exact = torch.stack([torch.func.jacrev(lambda z: module(z.unsqueeze(0)).squeeze(0))(z) for z in x])
    for method in METHODS:
        got = method.call(slopes, Linf(0.0).around(x))
        torch.testing.assert_close(got.lower, exact, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(got.upper, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("p", [1, 2, math.inf])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_lipschitz_constant_is_never_below_a_difference_quotient(case: Case, p: float) -> None:
    net, x = traced(case), case.inputs()
    constants = [bounds.lipschitz(net, Linf(eps).around(x), p=p) for eps in (0.0, 0.1, 0.3)]
    assert all(bool((a <= b * (1 + 1e-5)).all()) for a, b in itertools.pairwise(constants))
    copies = Linf(0.3).around(x).select(torch.arange(len(x)).repeat(100))
    generator = torch.Generator().manual_seed(0)
    one, other = (copies.sample(generator=generator) for _ in range(2))
    rise = torch.linalg.vector_norm((net.module(one) - net.module(other)).flatten(1), p, dim=1)
    run = torch.linalg.vector_norm((one - other).flatten(1), p, dim=1)
    assert bool((rise <= constants[-1].repeat(100) * run * (1 + 1e-4)).all())


def test_wrong_arguments_are_named() -> None:
    net = bounds.trace(nn.Linear(3, 2), torch.zeros(1, 3))
    region = Linf(0.1).around(torch.zeros(1, 3))
    with pytest.raises(InvalidInput, match="p is 3"):
        bounds.lipschitz(net, region, p=3)
    with pytest.raises(InvalidInput, match="argument is 1"):
        bounds.jacobian(net, argument=1)

    def steps(x: Tensor) -> Tensor:
        return x.floor()

    with pytest.raises(UnsupportedOperator, match="derivative"):
        bounds.jacobian(bounds.trace(Applied(steps), torch.zeros(1, 3)))
