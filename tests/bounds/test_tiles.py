"""Passes over memory in tiles: the same values and gradients as the formulas that they stand for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import Linf, bounds, tiles
from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense
from robustsuite.bounds.relaxations.relu import ReLU
from robustsuite.bounds.relaxations.unary import Unary


@pytest.fixture(params=[1, 2**19], ids=["a row a tile", "one tile"])
def tile_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_BYTES", request.param)


def _ends(rows: int = 5) -> tuple[Tensor, Tensor]:
    """Give ends of which some lie above 0, some below and some on both sides, far from the kinks."""
    generator = torch.Generator().manual_seed(0)
    middle = torch.randn(rows, 3, 4, 4, generator=generator, dtype=torch.float64)
    radius = 0.1 + torch.rand(middle.shape, generator=generator, dtype=torch.float64)
    lower, upper = middle - radius, middle + radius
    return lower.requires_grad_(), upper.requires_grad_()


@pytest.mark.usefixtures("tile_bytes")
def test_sum_and_width_and_back() -> None:
    lower, upper = _ends()
    total, width = Bounds(lower, upper).sum_and_width()
    torch.testing.assert_close(total, lower + upper)
    torch.testing.assert_close(width, upper - lower)
    back = Bounds.centered(total, width)
    torch.testing.assert_close(back.lower, lower)
    torch.testing.assert_close(back.upper, upper)
    assert torch.autograd.gradcheck(lambda l, u: Bounds(l, u).sum_and_width(), (lower, upper))
    assert torch.autograd.gradgradcheck(lambda l, u: Bounds(l, u).sum_and_width(), (lower, upper))


@pytest.mark.usefixtures("tile_bytes")
def test_relu_of_sum_and_width() -> None:
    def rectified(l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        ends = ReLU().range(Bounds.centered(*Bounds(l, u).sum_and_width()))
        assert ends.is_centered
        return ends.lower, ends.upper

    lower, upper = _ends()
    for mine, plain in zip(rectified(lower, upper), (lower.relu(), upper.relu()), strict=True):
        torch.testing.assert_close(mine, plain)
    assert torch.autograd.gradcheck(rectified, (lower, upper))


@pytest.mark.usefixtures("tile_bytes")
@pytest.mark.parametrize("rows", [1, 5], ids=["shared coefficients", "coefficients of each example"])
@pytest.mark.parametrize("specs", [1, 2])
def test_relu_planes(rows: int, specs: int) -> None:
    lower, upper = _ends()
    a = torch.randn(rows, specs, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a.requires_grad_()

    def quick(a: Tensor, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        pair = ReLU().differentiable(Dense(None, (3, 4, 4), a), Bounds(l, u))
        assert pair is not None
        return pair

    with torch.no_grad():
        (form,), constant = Unary(ReLU()).backward(
            Dense(None, (3, 4, 4), a), [Bounds(lower, upper)], bounds.operations.Thetas()
        )
    slope, added = quick(a, lower, upper)
    torch.testing.assert_close(slope, form.a)
    torch.testing.assert_close(added, constant)
    assert torch.autograd.gradcheck(quick, (a, lower, upper))


def test_ends_that_touch_zero_stay_there() -> None:
    """What leaves a ReLU is not negative, whatever rounding did to the sum and the width."""
    generator = torch.Generator().manual_seed(0)
    middle = torch.randn(100_000, generator=generator) * torch.logspace(-20, 20, 100_000)
    radius = torch.rand(100_000, generator=generator) * torch.logspace(10, -30, 100_000)
    ends = ReLU().range(Bounds.centered(2 * middle, 2 * radius))
    assert (ends.lower >= 0).all()
    assert (ends.upper >= ends.lower).all()


def test_the_jacobian_of_a_conv_net_can_be_trained() -> None:
    """The sums and widths of intervals have second derivatives."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 9, 2))
    x = torch.rand(2, 1, 5, 5)
    constant = bounds.lipschitz(bounds.trace(net, x), Linf(0.1).around(x)).sum()
    constant.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net[0].parameters() if p.dim() > 1)
    assert functional.relu(constant) > 0
