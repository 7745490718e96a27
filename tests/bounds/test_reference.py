"""Bounds of another implementation: never looser, and sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.bounds import Bounds
from robustsuite.perturbations import L1, L2, Linf, Perturbation

from .search import assert_encloses, extremes


class ResidualCNN(nn.Module):
    """relu(inp(x)), a residual step, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.mid = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(144, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.inp(x))
        h = torch.relu(h + self.mid(h))
        return torch.flatten(self.out(h.flatten(1)), 1)


def _mlp(sizes: tuple[int, int, int], activation: type[nn.Module]) -> nn.Module:
    into, hidden, out = sizes
    return nn.Sequential(
        nn.Linear(into, hidden), activation(), nn.Linear(hidden, hidden), activation(), nn.Linear(hidden, out)
    )


BUILD: dict[str, Callable[[], nn.Module]] = {
    "mlp_relu": lambda: _mlp((30, 50, 5), nn.ReLU),
    "mlp_tanh": lambda: _mlp((20, 40, 4), nn.Tanh),
    "mlp_sigmoid": lambda: _mlp((20, 40, 4), nn.Sigmoid),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(392, 20),
        nn.ReLU(),
        nn.Linear(20, 5),
    ),
    "residual_cnn": ResidualCNN,
}
BALLS: dict[str, type[Linf | L2 | L1]] = {"inf": Linf, "2": L2, "1": L1}
REFERENCES: dict[str, tuple[Callable[..., Bounds], float]] = {
    "IBP": (bounds.ibp, 1e-4),
    "CROWN-IBP": (bounds.crown_ibp, 1e-4),
    "CROWN": (bounds.crown, 1e-4),
    "alpha-CROWN": (bounds.alpha_crown, 2e-2),
}


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", BUILD)
def test_never_looser_than_the_reference(name: str, norm: str, data_folder: Callable[[str], Path]) -> None:
    folder = data_folder("bounds_reference")
    case = json.loads((folder / "cases.json").read_text())[name]
    stored = load_file(folder / f"{name}.safetensors")
    module = BUILD[name]()
    module.load_state_dict({k.removeprefix("state."): v for k, v in stored.items() if k.startswith("state.")})
    x = stored["x"]
    torch.testing.assert_close(module(x), stored["y"], rtol=1e-4, atol=1e-5)
    net = bounds.trace(module, x)
    perturbation: Perturbation = BALLS[norm](case["eps"][norm])
    region = perturbation.around(x)
    found = extremes(module, region, samples=20, steps=10)
    for method, (call, tolerance) in REFERENCES.items():
        if f"lower.{norm}.{method}" not in stored:
            continue
        low, high = stored[f"lower.{norm}.{method}"], stored[f"upper.{norm}.{method}"]
        got = call(net, region)
        assert_encloses(got, found, hint=method)
        width = high - low
        assert float(got.width.detach().mean()) <= (1 + tolerance) * float(width.mean()), method
        # Where an interval inside is tighter than theirs, a line may tilt, and one entry in fifty lose a little.
        allowed = max(tolerance, 3e-4) * width + 1e-5
        assert bool((got.lower >= low - allowed).all()), method
        assert bool((got.upper <= high + allowed).all()), method
