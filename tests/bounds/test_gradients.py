"""Bounds as training needs them: differentiable, and those of the parameters' present values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.bounds import Bounds, Graph
from robustsuite.perturbations import Region

from .cases import METHODS, NETWORKS, PERTURBATIONS, Case, Method, Threat, traced

_DIFFERENTIABLE = [method for method in METHODS if method.differentiable]
_THREATS = [t for t in PERTURBATIONS if t.name in ("linf", "l2, clipped", "l1")]


def _value(net: Graph, region: Region, method: Method) -> Tensor:
    weights = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    found: Bounds = method.call(net, region)
    return (found.lower * weights).sum() - (found.upper * weights.flip(0)).sum()


@pytest.mark.parametrize("threat", _THREATS, ids=str)
@pytest.mark.parametrize("case", [c for c in NETWORKS if c.name != "transformer block"], ids=str)
def test_gradients_agree_with_finite_differences(case: Case, threat: Threat) -> None:
    """Along a random direction in all parameters, in double precision."""
    net, region = traced(case, torch.float64), threat.of(case).around(case.inputs(dtype=torch.float64))
    parameters = list(net.module.parameters())
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]
    start = [p.detach().clone() for p in parameters]

    def at(step: float, method: Method) -> float:
        with torch.no_grad():
            for p, s, d in zip(parameters, start, direction, strict=True):
                p.copy_(s + step * d)
            return float(_value(net, region, method))

    h = 1e-6
    for method in _DIFFERENTIABLE:
        difference = (at(h, method) - at(-h, method)) / (2 * h)
        at(0.0, method)
        gradients = torch.autograd.grad(_value(net, region, method), parameters, allow_unused=True)
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True) if g is not None)
        assert difference == pytest.approx(slope, rel=1e-3, abs=1e-4), method.name


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_bounds_follow_an_optimiser_step(case: Case) -> None:
    """After a step the same graph gives the bounds that a fresh trace gives."""
    module, x = case.module(), case.inputs()
    net = bounds.trace(module, x)
    region = PERTURBATIONS[0].of(case).around(x)
    before = [method.call(net, region) for method in METHODS]
    optimiser = torch.optim.SGD(module.parameters(), lr=0.05)
    module(x).square().sum().backward()
    optimiser.step()
    again = bounds.trace(module, x)
    for method, old in zip(METHODS, before, strict=True):
        after, fresh = method.call(net, region), method.call(again, region)
        assert not torch.allclose(old.lower, after.lower)
        torch.testing.assert_close(after.lower, fresh.lower)
        torch.testing.assert_close(after.upper, fresh.upper)


@pytest.mark.parametrize("method", _DIFFERENTIABLE, ids=str)
def test_training_on_bounds_tightens_them(method: Method) -> None:
    """Ten steps on the width of the bounds make it smaller: the gradients point the right way."""
    case = NETWORKS[0]
    module, x = case.module(), case.inputs(8)
    net, region = bounds.trace(module, x), PERTURBATIONS[0].of(case).around(x)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    widths = []
    for _ in range(10):
        optimiser.zero_grad()
        width = method.call(net, region).width.mean()
        width.backward()
        optimiser.step()
        widths.append(float(width.detach()))
    assert widths[-1] < 0.9 * widths[0]


def test_parameters_may_be_exchanged() -> None:
    """A layer that is replaced, or loaded from a state dict, counts from the next call on."""
    case = NETWORKS[0]
    module, x = case.module(), case.inputs()
    net = bounds.trace(module, x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        other = case.make()
    module.load_state_dict(other.state_dict())
    region = PERTURBATIONS[0].of(case).around(x)
    torch.testing.assert_close(
        bounds.crown(net, region).lower, bounds.crown(bounds.trace(other, x), region).lower
    )
    assert isinstance(module, nn.Sequential)
    last = module[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.bias.add_(1.0)
    torch.testing.assert_close(
        bounds.ibp(net, region).lower, bounds.ibp(bounds.trace(other, x), region).lower + 1.0
    )


def test_gradients_reach_the_input() -> None:
    """Bounds are differentiable by the region's centre too, as an adversary in training needs it."""
    case = NETWORKS[0]
    net = bounds.trace(case.module(), case.inputs())
    x = case.inputs().requires_grad_()
    found = bounds.crown_ibp(net, PERTURBATIONS[0].of(case).around(x))
    (gradient,) = torch.autograd.grad(found.lower.sum(), x)
    assert bool(gradient.isfinite().all())
    assert float(gradient.abs().max()) > 0
