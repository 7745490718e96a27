"""Initial weights: from the seed alone; with the right deviation for intervals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from robustsuite import Linf, bounds
from robustsuite.training import initialize_for_ibp, seeded


def test_models_depend_on_the_seed_alone() -> None:
    state = torch.get_rng_state()
    one = seeded(lambda: nn.Linear(3, 3), 5)
    torch.rand(7)
    other, different = seeded(lambda: nn.Linear(3, 3), 5), seeded(lambda: nn.Linear(3, 3), 6)
    assert torch.equal(one.weight, other.weight)
    assert not torch.equal(one.weight, different.weight)
    torch.set_rng_state(state)


def test_weights_have_the_published_deviation() -> None:
    convolution, linear = nn.Conv2d(8, 64, 3), nn.Linear(400, 500)
    model = nn.Sequential(convolution, nn.Flatten(), linear)
    initialize_for_ibp(model, generator=torch.Generator().manual_seed(0))
    layers: tuple[tuple[nn.Conv2d | nn.Linear, int], ...] = ((convolution, 72), (linear, 400))
    for layer, fan_in in layers:
        assert layer.bias is not None
        assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 * math.pi) / fan_in, rel=0.05)
        assert float(layer.bias.detach().abs().max()) == 0


def test_intervals_keep_their_width_through_deep_relu_layers() -> None:
    def widths(start: bool) -> float:
        layers = [layer for _ in range(6) for layer in (nn.Linear(100, 100), nn.ReLU())]
        model = seeded(lambda: nn.Sequential(*layers), 0)
        if start:
            initialize_for_ibp(model, generator=torch.Generator().manual_seed(0))
        x = torch.rand(4, 100, generator=torch.Generator().manual_seed(1))
        b = bounds.ibp(bounds.trace(model, x), Linf(0.01).around(x))
        return float(b.width.detach().mean())

    assert 0.2 * 0.02 < widths(True) < 5 * 0.02
    assert widths(False) > 10 * widths(True)
