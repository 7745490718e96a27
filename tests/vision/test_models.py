"""Image classifiers: shapes for every image size, seeds, and that bounds can be traced through them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robustsuite import Linf, bounds
from robustsuite.errors import InvalidInput
from robustsuite.training import seeded
from robustsuite.vision.models import MLP, Architecture, ConvNet, Normalization

ARCHITECTURES: dict[str, Architecture] = {
    "MLP": MLP(widths=(20, 10)),
    "ConvNet": ConvNet(channels=(4, 8), hidden=16),
    "ConvNet, normalised": ConvNet(channels=(4,), repeats=1, hidden=16, mean=0.5, deviation=0.25),
}
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 7, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_logits_have_one_column_per_class(architecture: Architecture, shape: tuple[int, int, int]) -> None:
    model = architecture.build(shape, 7)
    assert model(torch.rand(3, *shape)).shape == (3, 7)


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_bounds_hold_in_the_network(architecture: Architecture) -> None:
    model = seeded(lambda: architecture.build((1, 8, 8), 4), 0).eval()
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    region = Linf(0.05, clip=(0.0, 1.0)).around(x)
    b = bounds.crown_ibp(bounds.trace(model, x), region)
    for _ in range(10):
        y = model(region.sample())
        assert bool(((y >= b.lower - 1e-5) & (y <= b.upper + 1e-5)).all())


def test_normalisation_keeps_radii_in_units_of_the_input() -> None:
    plain = nn.Linear(4, 2)
    model = nn.Sequential(Normalization(0.5, 0.25), plain)
    x = torch.rand(3, 4)
    b = bounds.ibp(bounds.trace(model, x), Linf(0.1).around(x))
    expected = 2 * 0.1 / 0.25 * plain.weight.abs().sum(1)
    torch.testing.assert_close(b.width.detach(), expected.detach().expand(3, 2))


def test_empty_networks_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"channels is \(\)"):
        ConvNet(channels=())
    with pytest.raises(InvalidInput, match="widths is 0; expected an integer >= 1"):
        MLP(widths=(0,))
    with pytest.raises(InvalidInput, match=r"deviation is 0\.0; expected a number > 0"):
        ConvNet(deviation=0.0)
