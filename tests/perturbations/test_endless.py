"""Endless radii: the range of valid values is all that limits them; and regions of one kind with other radii."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from robustsuite import L0, L1, L2, Box, Linf, bounds
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation

NORMS = pytest.mark.parametrize("kind", [Linf, L2, L1])


def _inputs() -> Tensor:
    return torch.rand((4, 6), generator=torch.Generator().manual_seed(0))


def _net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).eval()


@NORMS
@pytest.mark.parametrize("method", [bounds.ibp, bounds.crown])
def test_bounds_take_the_range_in_the_place_of_an_endless_radius(
    kind: type[Linf], method: bounds.Method
) -> None:
    x, net = _inputs(), _net()
    graph = bounds.trace(net, x)
    endless = method(graph, kind(math.inf, clip=(0, 1)).around(x))
    whole = method(graph, Box(0, 1).around(x))
    torch.testing.assert_close(endless.lower, whole.lower, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(endless.upper, whole.upper, rtol=1e-4, atol=1e-4)
    points = torch.rand((4, 200, 6), generator=torch.Generator().manual_seed(1))
    outputs = net(points)
    assert bool((outputs >= endless.lower.unsqueeze(1) - 1e-5).all())
    assert bool((outputs <= endless.upper.unsqueeze(1) + 1e-5).all())


@NORMS
def test_bounds_refuse_what_nothing_limits(kind: type[Linf]) -> None:
    x, net = _inputs(), _net()
    region = kind(math.inf).around(x)
    for method in (bounds.ibp, bounds.crown, bounds.forward):
        with pytest.raises(
            InvalidInput, match="endless and .* no range of valid values; .* give clip"
        ) as caught:
            method(bounds.trace(net, x), region)
        assert "\n" not in str(caught.value)
    assert region.is_unbounded
    far = 1e6 * torch.randn((4, 6), generator=torch.Generator().manual_seed(2))
    assert torch.equal(region.project(far), far)
    assert bool(region.contains(far).all())
    with pytest.raises(InvalidInput, match="give clip"):
        region.sample()
    with pytest.raises(InvalidInput, match="give clip"):
        region.ascent(far)
    with pytest.raises(InvalidInput, match="give clip"):
        region.minimum(far.unsqueeze(1), lambda values: values)


@NORMS
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
def test_other_radii_for_each_example(kind: type[Linf], clip: tuple[float, float] | None) -> None:
    x = _inputs()
    region = kind(0.3, clip=clip).around(x)
    radii = torch.tensor([0.0, 0.1, 0.7, math.inf])
    other = region.resized(radii)
    assert torch.equal(other.radius, radii)
    far = torch.randn((4, 6), generator=torch.Generator().manual_seed(3)) * 3
    for example in range(4):
        alone = kind(float(radii[example]), clip=clip).around(x[example : example + 1])
        torch.testing.assert_close(other.project(far)[example], alone.project(far[example : example + 1])[0])
        torch.testing.assert_close(other.lower[example], alone.lower[0])
        picked = other.select(torch.tensor([example]))
        torch.testing.assert_close(
            picked.project(far[example : example + 1]), alone.project(far[example : example + 1])
        )
    torch.testing.assert_close(other.resized(region.radius).project(far), region.project(far))


@NORMS
def test_directions_have_length_1(kind: type[Linf]) -> None:
    region = kind(0.3, clip=(0, 1)).around(_inputs())
    gradient = torch.randn((4, 6), generator=torch.Generator().manual_seed(4))
    gradient[0] = 0.0
    direction = region.direction(gradient)
    length = region.distance(region.center + direction)
    torch.testing.assert_close(length, torch.tensor([0.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(region.ascent(gradient), 0.3 * direction)


def test_what_has_no_radius_says_so() -> None:
    region = L0(2, 0, 1).around(_inputs())
    with pytest.raises(InvalidInput, match="SparseRegion has no radius to change; expected a ball or a box"):
        region.resized(torch.ones(4))
    with pytest.raises(InvalidInput, match="SparseRegion has no steps of length 1"):
        region.direction(torch.ones(4, 6))


@pytest.mark.parametrize("perturbation", [Linf(math.inf, clip=(0, 1)), L2(math.inf)])
def test_factors(perturbation: Perturbation) -> None:
    assert perturbation.scaled(2) == perturbation
    assert perturbation.scaled(0).radius == 0
