"""The networks that the benchmarks of bounds share: seeded or published weights, seeded inputs, a radius for each."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A network to bound.

    Attributes:
        build: gives the module.
        shape: of one example.
        eps: Linf radius.
        reference: name under bounds_reference whose weights and inputs are taken, where that data is at hand.
    """

    build: Callable[[], nn.Module]
    shape: Shape
    eps: float
    reference: str = ""


def mlp(sizes: tuple[int, ...], activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Give an MLP of these widths on a flattened input."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def _mlp_without_flatten(sizes: tuple[int, ...], activation: type[nn.Module]) -> nn.Module:
    return nn.Sequential(*list(mlp(sizes, activation))[1:])  # type: ignore[call-overload]


def conv(channels: int, size: int) -> nn.Module:
    """Give a net of four convolutions and two linear layers."""
    side = size // 4
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * side * side, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def _reference_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(392, 20),
        nn.ReLU(),
        nn.Linear(20, 5),
    )


class ReferenceResidual(nn.Module):
    """relu(inp(x)), a residual step, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.mid = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.out = nn.Linear(144, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the net."""
        h = torch.relu(self.inp(x))
        h = torch.relu(h + self.mid(h))
        return torch.flatten(self.out(h.flatten(1)), 1)


class Block(nn.Module):
    """The basic block of ResNet-18, with batch norm. Source: He et al. 2016, figure 2."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        h = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(h)) + self.shortcut(x))


def resnet18() -> nn.Module:
    """Give ResNet-18 for 32 x 32 images (a 3 x 3 stem, no first pooling)."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    before = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(before, width, stride), Block(width, width, 1)]
        before = width
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(512, 10))


class BiLSTM(nn.Module):
    """A bidirectional LSTM, unrolled by its cells, over 10 words; a linear layer on both last states."""

    def __init__(self, dim: int = 32, hidden: int = 32) -> None:
        super().__init__()
        self.hidden = hidden
        self.cells = nn.ModuleList(
            nn.ModuleDict({"x": nn.Linear(dim, 4 * hidden), "h": nn.Linear(hidden, 4 * hidden)})
            for _ in range(2)
        )
        self.out = nn.Linear(2 * hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the net to words (batch, 10, dim)."""
        last = []
        for number, cell in enumerate(self.cells):
            assert isinstance(cell, nn.ModuleDict)
            h, c = x[:, 0, : self.hidden] * 0.0, x[:, 0, : self.hidden] * 0.0
            for step in range(10):
                word = x[:, step if number == 0 else 9 - step]
                gates = cell["x"](word) + cell["h"](h)
                i, f, g, o = (gates[:, k * self.hidden : (k + 1) * self.hidden] for k in range(4))
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            last.append(h)
        out = self.out(torch.cat(last, 1))
        assert isinstance(out, Tensor)
        return out


class EncoderLayer(nn.Module):
    """A transformer encoder layer, written out; its normalisation subtracts the mean only.

    Source: Shi et al. 2020 (2002.06622), who drop the division by the deviation for verification.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.mix = (nn.Linear(dim, dim) for _ in range(4))
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to words (batch, words, dim)."""
        words, dim = x.shape[1], x.shape[2]

        def split(y: Tensor) -> Tensor:
            return y.view(-1, words, self.heads, dim // self.heads).permute(0, 2, 1, 3)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        weights = torch.softmax(q.matmul(k.transpose(2, 3)) / math.sqrt(dim // self.heads), -1)
        x = x + self.mix(weights.matmul(v).permute(0, 2, 1, 3).reshape(-1, words, dim))
        x = x - x.mean(-1, keepdim=True)
        x = x + self.down(torch.relu(self.up(x)))
        return x - x.mean(-1, keepdim=True)


class Encoder(nn.Module):
    """Three encoder layers over 8 words, and a linear layer on the first word."""

    def __init__(self, dim: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(EncoderLayer(dim, heads) for _ in range(3)))
        self.out = nn.Linear(dim, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the net to words (batch, 8, dim)."""
        out = self.out(self.layers(x)[:, 0])
        assert isinstance(out, Tensor)
        return out


def atari_dqn() -> nn.Module:
    """Give the Q network of Atari agents: four 84 x 84 frames to six actions. Source: Mnih et al. 2015."""
    return nn.Sequential(
        nn.Conv2d(4, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 512),
        nn.ReLU(),
        nn.Linear(512, 6),
    )


def ddpg_actor() -> nn.Module:
    """Give the actor of DDPG agents for Hopper: 11 observations to 3 torques in [-1, 1]."""
    return nn.Sequential(
        nn.Linear(11, 400), nn.ReLU(), nn.Linear(400, 300), nn.ReLU(), nn.Linear(300, 3), nn.Tanh()
    )


CASES: dict[str, Case] = {
    "mlp_relu": Case(lambda: _mlp_without_flatten((30, 50, 50, 5), nn.ReLU), (30,), 0.03, "mlp_relu"),
    "mlp_tanh": Case(lambda: _mlp_without_flatten((20, 40, 40, 4), nn.Tanh), (20,), 0.05, "mlp_tanh"),
    "mlp_sigmoid": Case(lambda: _mlp_without_flatten((20, 40, 40, 4), nn.Sigmoid), (20,), 0.1, "mlp_sigmoid"),
    "cnn": Case(_reference_cnn, (1, 14, 14), 0.02, "cnn"),
    "residual_cnn": Case(ReferenceResidual, (2, 6, 6), 0.02, "residual_cnn"),
    "mlp": Case(lambda: mlp((784, 256, 256, 256, 10)), (1, 28, 28), 0.01),
    "conv28": Case(lambda: conv(1, 28), (1, 28, 28), 0.005),
    "conv32": Case(lambda: conv(3, 32), (3, 32, 32), 0.005),
    "resnet18": Case(resnet18, (3, 32, 32), 1e-4),
    "bilstm": Case(BiLSTM, (10, 32), 0.01),
    "encoder": Case(Encoder, (8, 32), 0.002),
    "atari_dqn": Case(atari_dqn, (4, 84, 84), 1 / 255),
    "ddpg_actor": Case(ddpg_actor, (11,), 0.02),
}


def setup(network: str, batch: int) -> tuple[nn.Module, Tensor, float]:
    """Give a network in eval mode, a batch (batch, *shape) and the Linf radius."""
    case = CASES[network]
    torch.manual_seed(0)
    model = case.build()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(batch, *case.shape, generator=generator)
    folder = _reference_folder()
    if case.reference and folder is not None:
        tensors = load_file(folder / f"{case.reference}.safetensors")
        model.load_state_dict(
            {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}
        )
        known = tensors["x"]
        x = known[torch.arange(batch) % len(known)] + 0.01 * torch.rand(
            batch, *case.shape, generator=generator
        )
        return model.eval(), x, json.loads((folder / "cases.json").read_text())[case.reference]["eps"]["inf"]
    return model.eval(), x, case.eps


def _reference_folder() -> Path | None:
    root = os.environ.get("ROBUSTSUITE_DATA")
    found = [Path(root)] if root else [Path(__file__).resolve().parents[2] / "shared" / "data"]
    folder = found[0] / "bounds_reference"
    return folder if folder.is_dir() else None
