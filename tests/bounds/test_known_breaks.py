"""Four breaks that a widely used library had in 2026, each by its name: no bound of ours may show them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.bounds import Graph
from robustsuite.perturbations import L1, L2, Linf, Perturbation

from .cases import METHODS, Applied
from .search import assert_encloses, extremes


@functools.cache
def traced(module: nn.Module, shape: tuple[int, ...]) -> Graph:
    return bounds.trace(module, torch.zeros(1, *shape))


def check(module: nn.Module, x: Tensor, perturbation: Perturbation) -> None:
    """Hold the bounds of every method against the truth."""
    net, region = traced(module, tuple(x.shape[1:])), perturbation.around(x)
    found = extremes(module, region, samples=200, corners=60, steps=25)
    for method in METHODS:
        assert_encloses(method.call(net, region), found, hint=f"by {method}")


@pytest.mark.parametrize("power", [2, 4, 6])
def test_even_power_away_from_zero(power: int) -> None:
    """Planes were off by a constant."""
    module = Applied(lambda x: x**power)
    for middle in (0.5, -0.5, 3.0):
        check(module, torch.full((1, 3), middle), Linf(0.15))


def test_the_square_of_an_interval() -> None:
    """[.35, .65] squared is [.1225, .4225]; planes off by a constant gave [.100, .400]."""
    net = bounds.trace(Applied(lambda x: x**2), torch.full((1, 3), 0.5))
    for method in METHODS:
        square = method.call(net, Linf(0.15).around(torch.full((1, 3), 0.5)))
        torch.testing.assert_close(square.upper, torch.full((1, 3), 0.4225), msg=str(method))
        assert bool((square.lower <= 0.1225 + 1e-6).all()), str(method)


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
def test_repeat_sums_over_its_copies(repeat: Callable[[Tensor], Tensor]) -> None:
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

    check(Repeated(), torch.randn(2, 3), Linf(0.3))


@pytest.mark.parametrize("slope", [0.01, 0.3])
def test_leaky_relu(slope: float) -> None:
    """In forward mode the lower line of a plain ReLU, without its intercept, was used."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(slope), nn.Linear(8, 8), nn.LeakyReLU(slope))
    check(nn.Sequential(module, nn.Linear(8, 2)), torch.randn(2, 4), Linf(0.4))


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
def test_ball_through_a_slice(perturbation: Perturbation, module: nn.Module) -> None:
    """A ball that is not a box met a slice first, and intervals of width zero came out."""
    torch.manual_seed(2)
    check(module, torch.rand(2, 3, 3) - 0.5, perturbation)
