"""Four breaks that a widely used library had in 2026, each by its name: no bound of ours may show them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.perturbations import L1, L2, Linf, Perturbation

from .cases import METHODS, Applied, Method
from .search import assert_encloses, extremes

methods = pytest.mark.parametrize("method", METHODS, ids=str)


def check(module: nn.Module, x: Tensor, perturbation: Perturbation, method: Method) -> None:
    region = perturbation.around(x)
    found = extremes(module, region, samples=200, corners=60, steps=25)
    assert_encloses(method.call(bounds.trace(module, x), region), found, hint=str(method))


@methods
@pytest.mark.parametrize("power", [2, 4, 6])
@pytest.mark.parametrize("middle", [0.5, -0.5, 3.0])
def test_even_power_away_from_zero(method: Method, power: int, middle: float) -> None:
    """[.35, .65] squared is [.1225, .4225]; planes off by a constant gave [.100, .400]."""

    def function(x: Tensor) -> Tensor:
        return x**power

    check(Applied(function), torch.full((1, 3), middle), Linf(0.15), method)
    net = bounds.trace(Applied(lambda x: x**2), torch.full((1, 3), 0.5))
    square = method.call(net, Linf(0.15).around(torch.full((1, 3), 0.5)))
    torch.testing.assert_close(square.upper, torch.full((1, 3), 0.4225))
    assert bool((square.lower <= 0.1225 + 1e-6).all())


@methods
@pytest.mark.parametrize(
    "repeat",
    [
        lambda x: x.repeat(1, 2),
        lambda x: x.unsqueeze(1).repeat(1, 3, 2).flatten(1),
        lambda x: x.tile(1, 2),
        lambda x: x.repeat_interleave(2, 1),
    ],
    ids=["repeat", "repeat to more axes", "tile", "repeat_interleave"],
)
def test_repeat_sums_over_its_copies(method: Method, repeat: Callable[[Tensor], Tensor]) -> None:
    """The adjoint of a repetition sums over the copies in the order in which they were made."""
    torch.manual_seed(0)
    first = nn.Linear(3, 3)
    width = repeat(torch.zeros(1, 3)).shape[1]
    last = nn.Linear(width, 2)

    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = first, last

        def forward(self, x: Tensor) -> Tensor:
            y = self.last(repeat(torch.relu(self.first(x))))
            assert isinstance(y, Tensor)
            return y

    check(Repeated(), torch.randn(2, 3), Linf(0.3), method)


@methods
@pytest.mark.parametrize("slope", [0.01, 0.3])
def test_leaky_relu(method: Method, slope: float) -> None:
    """In forward mode the lower line of a plain ReLU, without its intercept, was used."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(slope), nn.Linear(8, 8), nn.LeakyReLU(slope))
    check(nn.Sequential(module, nn.Linear(8, 2)), torch.randn(2, 4), Linf(0.4), method)


class Steps(nn.Module):
    """A recurrent net over slices of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, c = torch.zeros_like(x[:, 0, :1]).repeat(1, 4), torch.zeros_like(x[:, 0, :1]).repeat(1, 4)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        y = self.out(h)
        assert isinstance(y, Tensor)
        return y


@methods
@pytest.mark.parametrize("perturbation", [L2(0.6), L1(0.9), L2(0.6, clip=(-1.0, 1.0))], ids=str)
@pytest.mark.parametrize(
    "module",
    [
        Applied(lambda x: x[:, 0]),
        Applied(lambda x: x[:, 1:] * 2),
        Applied(lambda x: torch.cat([x[:, 1], x[:, 0].exp()], 1)),
        Steps(),
    ],
    ids=["slice", "slice and scale", "slices of both kinds", "lstm"],
)
def test_ball_through_a_slice(method: Method, perturbation: Perturbation, module: nn.Module) -> None:
    """A ball that is not a box met a slice first, and intervals of width zero came out."""
    torch.manual_seed(2)
    check(module, torch.rand(2, 3, 3) - 0.5, perturbation, method)
