"""Functions with parameters that turn their curvature over or make them jump: bounds hold, or are refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustsuite import bounds
from robustsuite.errors import RobustsuiteError, UnboundedOutput, UnsupportedOperator
from robustsuite.perturbations import Linf

from .cases import METHODS, Applied
from .search import assert_encloses, extremes

aten = torch.ops.aten
Function = Callable[[Tensor], Tensor]


def _softplus(beta: float, threshold: float) -> Function:
    return lambda x: F.softplus(x, beta, threshold)


# Function, centre, radius.
PLACES: dict[str, tuple[Function, float, float]] = {
    "softplus, falling rate": (_softplus(-1.0, 20.0), 0.0, 2.0),
    "softplus at its threshold": (_softplus(1.0, 1.0), 1.0, 0.2),
    "softplus at a negative threshold": (_softplus(2.0, -1.0), -0.5, 0.3),
    "softplus at a threshold, falling rate": (_softplus(-1.0, 1.0), -1.0, 0.2),
    "softplus of a small rate": (_softplus(0.01, 20.0), 2000.0, 50.0),
    "elu, alpha < 0": (lambda x: F.elu(x, -2.0), 0.0, 1.5),
    "celu, alpha < 0": (lambda x: F.celu(x, -0.7), 0.0, 1.5),
    "celu, small alpha": (lambda x: F.celu(x, 0.01), 0.0, 1.5),
    "elu with three factors": (lambda x: aten.elu(x, 1.5, -2.0, -0.5), 0.0, 2.0),
    "leaky_relu, slope 1": (lambda x: F.leaky_relu(x, 1.0), 0.0, 1.0),
    "leaky_relu, slope < -1": (lambda x: F.leaky_relu(x, -3.0), 0.2, 1.0),
    "clamp, ends crossed": (lambda x: x.clamp(0.5, -0.5), 0.0, 1.0),
    "clamp, ends equal": (lambda x: x.clamp(0.5, 0.5) + x, 0.0, 1.0),
    "clamp to a half line": (lambda x: x.clamp(-torch.inf, 0.5), 0.0, 1.0),
    "clamp by crossed tensors": (
        lambda x: x.clamp(torch.tensor([0.5, -1.0]), torch.tensor([-0.5, 1.0])),
        0.0,
        2.0,
    ),
    "hardtanh, ends crossed": (lambda x: aten.hardtanh(x, 0.5, -0.5), 0.0, 1.0),
    "fifth power": (lambda x: x**5, 0.1, 1.0),
    "power -3": (lambda x: x**-3, -1.0, 0.5),
    "power -1.5": (lambda x: x**-1.5, 1.0, 0.5),
    "power 0": (lambda x: x**0 + x, 0.0, 1.0),
    "norm of order 0, refused": (lambda x: aten.norm.ScalarOpt_dim(x, 0, [1], True), 1.0, 0.5),
}


@pytest.mark.parametrize("name", PLACES)
def test_bounds_hold_at_the_edge(name: str) -> None:
    function, center, eps = PLACES[name]
    x = torch.full((2, 2), center)
    region = Linf(eps).around(x)
    try:
        net = bounds.trace(Applied(function), x)
    except RobustsuiteError:
        assert name.endswith("refused")
        return
    assert not name.endswith("refused")
    for place in (region, Linf(1e-6 * (1 + abs(center))).around(x)):
        found = extremes(Applied(function), place, samples=100, corners=10, steps=0)
        near = [x + s * d * (place.upper - x) for s in (-1, 1) for d in (0.0, 1e-3, 0.01, 0.1, 0.5, 1.0)]
        values = torch.stack([function(p) for p in near] + [found.lower, found.upper])
        truth = bounds.Bounds(values.amin(0), values.amax(0))
        for method in METHODS:
            assert_encloses(method.call(net, place), truth, tolerance=2e-6, hint=str(method))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (_softplus(0.0, 20.0), "softplus with beta 0"),
        (lambda x: F.elu(x, float("inf")), "elu"),
        (lambda x: aten.clamp(x, float("nan"), 1.0), "clamp"),
    ],
)
def test_parameters_without_values_are_refused_by_name(function: Function, name: str) -> None:
    with pytest.raises(UnsupportedOperator, match=name):
        bounds.trace(Applied(function), torch.zeros(1, 2))


def test_what_overflows_is_refused() -> None:
    """In real numbers log(1 + exp(200)) is finite; what torch computes with so late a threshold is not."""
    x = torch.full((1, 1), 150.0)
    net = bounds.trace(Applied(_softplus(1.0, 500.0)), x - 150)
    with pytest.raises(UnboundedOutput, match="overflows"):
        bounds.crown(net, Linf(50.0).around(x))
    celu = bounds.trace(Applied(lambda x: F.celu(x, -0.5)), x - 150)
    with pytest.raises(UnboundedOutput, match="overflows"):
        bounds.crown(celu, Linf(100.0).around(x - 150))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roots_of_the_least_negative_number_are_refused(dtype: torch.dtype) -> None:
    tiny = torch.full((1, 1), -1e-44 if dtype == torch.float32 else -1e-60, dtype=dtype)
    for function in (torch.sqrt, lambda x: x**1.5):
        net = bounds.trace(Applied(function), torch.ones(1, 1, dtype=dtype))
        with pytest.raises(UnboundedOutput, match="argument may leave"):
            bounds.ibp(net, Linf(0.0).around(tiny))
        assert float(bounds.ibp(net, Linf(0.0).around(0 * tiny)).upper) == 0


@pytest.mark.parametrize("beta", [1.0, -1.0, 0.01])
def test_slopes_of_softplus_hold_across_its_threshold(beta: float) -> None:
    x = torch.full((1, 1), 20.0 / beta, dtype=torch.float64)
    net = bounds.jacobian(bounds.trace(nn.Softplus(beta).double(), x))
    region = Linf(abs(15.0 / beta)).around(x)
    found = extremes(net.module, region, samples=500, corners=10, steps=0)
    for method in METHODS:
        got = method.call(net, region)
        assert_encloses(got, found, tolerance=1e-12)
        assert float(got.width) < 0.2


def test_a_function_that_jumps_has_no_slope() -> None:
    net = bounds.trace(nn.Softplus(1.0, 1.0), torch.zeros(1, 1))
    with pytest.raises(UnsupportedOperator, match="softplus with threshold 1"):
        bounds.jacobian(net)
