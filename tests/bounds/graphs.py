"""Random networks for hypothesis: descriptions that build a module, shrink well and print as code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, ...]

_ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "hardtanh": lambda x: F.hardtanh(x, -0.4, 0.7),
    "softplus": F.softplus,
    "abs": torch.abs,
    "square": torch.square,
    "sin": torch.sin,
    "exp": lambda x: torch.exp(0.3 * x),
    "inverse": lambda x: 1 / (x.square() + 1),
    "root": lambda x: (x.abs() + 0.1).sqrt(),
    "scale": lambda x: 1.7 * x - 0.3,
    "negate": lambda x: 0.5 - x,
    "clamp": lambda x: x.clamp(max=0.5),
    "flip": lambda x: x.flip(-1),
    "double": lambda x: x + x,
    "centre": lambda x: x - x.mean(-1, keepdim=True),
    "gate": lambda x: x * x.sigmoid(),
    "softmax": lambda x: x.softmax(-1),
    "cumsum": lambda x: x.cumsum(-1) / x.shape[-1],
    "maximum": lambda x: torch.maximum(x, x.flip(-1)),
}
_IMAGE: dict[str, Callable[[int], nn.Module]] = {
    "conv": lambda c: nn.Conv2d(c, 3, 3, padding=1),
    "conv, strided": lambda c: nn.Conv2d(c, 2, 3, stride=2, padding=1),
    "conv, grouped": lambda c: nn.Conv2d(c, 2 * c, 2, groups=c),
    "conv, dilated": lambda c: nn.Conv2d(c, 2, 2, dilation=2, padding=1, bias=False),
    "conv, transposed": lambda c: nn.ConvTranspose2d(c, 2, 2, stride=2),
    "norm": lambda c: nn.BatchNorm2d(c),
    "max_pool": lambda c: nn.MaxPool2d(2, stride=1),
    "max_pool, padded": lambda c: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    "avg_pool": lambda c: nn.AvgPool2d(2, stride=1),
    "avg_pool, padded": lambda c: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    "adaptive_pool": lambda c: nn.AdaptiveAvgPool2d((3, 2)),
    "pad": lambda c: nn.ZeroPad2d((1, 0, 0, 1)),
}
_JOINS = ("add", "subtract", "multiply", "cat", "skip")


@dataclass(frozen=True)
class Branches:
    """Two sequences of layers on one tensor, joined; `skip` adds the second's input to the first."""

    join: str
    first: tuple[Layer, ...]
    second: tuple[Layer, ...]


Layer = str | Branches


@dataclass(frozen=True)
class Net:
    """A network as a value: its input shape, its layers, and the seed of its weights."""

    shape: Shape
    layers: tuple[Layer, ...]
    seed: int = 0

    def module(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """Build the network, ending in a linear layer of three outputs."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            body, shape = _sequence(self.layers, self.shape)
            numel = torch.Size(shape).numel()
            return nn.Sequential(body, nn.Flatten(), nn.Linear(numel, 3)).eval().to(dtype)


class _Elementwise(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def forward(self, x: Tensor) -> Tensor:
        return _ELEMENTWISE[self._name](x)


class _Joined(nn.Module):
    def __init__(self, join: str, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self._join = first, second, join

    def forward(self, x: Tensor) -> Tensor:
        a = torch.flatten(self.first(x), 1)
        b = torch.flatten(x if self._join == "skip" else self.second(x), 1)
        if self._join == "cat":
            return torch.cat([a, b], 1)
        size = min(a.shape[1], b.shape[1])
        a, b = a[:, :size], b[:, :size]
        if self._join == "multiply":
            return a * b
        return a - b if self._join == "subtract" else a + b


def _sequence(layers: tuple[Layer, ...], shape: Shape) -> tuple[nn.Sequential, Shape]:
    parts: list[nn.Module] = []
    for layer in layers:
        part = _build(layer, shape)
        with torch.no_grad():
            shape = tuple(part.eval()(torch.zeros(1, *shape)).shape[1:])
        parts.append(part)
    return nn.Sequential(*parts), shape


def _build(layer: Layer, shape: Shape) -> nn.Module:
    if isinstance(layer, Branches):
        first, _ = _sequence(layer.first, shape)
        second, _ = _sequence(layer.second, shape)
        return _Joined(layer.join, first, second)
    if layer == "linear":
        return nn.Linear(shape[-1], 4)
    if layer in _IMAGE:
        # Where there is no image (any more), or a small one, image layers change nothing.
        return _IMAGE[layer](shape[0]) if len(shape) == 3 and min(shape[1:]) >= 3 else nn.Identity()
    if layer == "layer_norm":
        return nn.LayerNorm(shape[-1], eps=0.1)
    return _Elementwise(layer)


def _layers(names: list[str]) -> st.SearchStrategy[tuple[Layer, ...]]:
    simple = st.sampled_from(names)
    flat = st.lists(simple, max_size=2).map(tuple)
    branches = st.builds(Branches, st.sampled_from(_JOINS), flat, flat)
    return st.lists(st.one_of(simple, simple, branches), min_size=1, max_size=4).map(tuple)


_VECTOR = ["linear", "layer_norm", *_ELEMENTWISE]


def nets() -> st.SearchStrategy[Net]:
    """Give random networks of vectors, sequences and images."""
    seeds = st.integers(0, 3)
    vectors = st.builds(Net, st.sampled_from([(3,), (5,), (2, 3)]), _layers(_VECTOR), seeds)
    images = st.builds(
        Net, st.sampled_from([(1, 4, 4), (2, 4, 3)]), _layers([*_IMAGE, *_IMAGE, *_VECTOR]), seeds
    )
    return st.one_of(vectors, images)
