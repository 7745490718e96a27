"""Networks of policies and critics by their architecture, so that weights can be saved without a pickle."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from robustsuite.arguments import check_fields, check_flags, check_numbers
from robustsuite.errors import InvalidInput

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Architecture(Protocol):
    """Builds a network with fresh weights; a frozen dataclass, so that it can be saved."""

    def build(self) -> Network:
        """Make the network."""


class Network(nn.Sequential):
    """Layers one after the other, with the architecture that they were built from.

    Attributes:
        architecture: what `Architecture.build` was called on.
    """

    def __init__(self, *layers: nn.Module, architecture: Architecture) -> None:
        super().__init__(*layers)
        self.architecture = architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class MLP:
    """A multilayer perceptron: Linear layers with activations between them.

    Args:
        sizes: inputs, hidden widths, outputs: two or more.
        activation: "relu" or "tanh".
        squashed: whether a tanh follows the last layer.
        range: lowest and highest value of each output, to which the squashed output in [-1, 1] is stretched; None: it
            stays as it is.
        dueling: whether the last hidden layer splits into a value and advantages, whose mean is taken off. See `Dueling`.

    Raises:
        InvalidInput: fewer than two sizes, an unknown activation, or parts that do not go together.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    squashed: bool = False
    range: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    dueling: bool = False

    def __post_init__(self) -> None:
        check_numbers("sizes", self.sizes, integer=True, least=1)
        check_flags(self, "squashed", "dueling")
        if self.activation not in ACTIVATIONS or len(self.sizes) < 2:
            raise InvalidInput(
                f"activation is '{self.activation}' and sizes {self.sizes}; expected one of {sorted(ACTIVATIONS)} and "
                "(inputs, hidden ..., outputs)"
            )
        if self.range is not None and not (self.squashed and len(self.range[0]) == self.sizes[-1]):
            raise InvalidInput("range is given; expected squashed outputs, and two ends for each of them")
        if self.dueling and (self.squashed or len(self.sizes) < 3):
            raise InvalidInput("dueling networks have a hidden layer, and outputs that are not squashed")

    def build(self) -> Network:
        kind = ACTIVATIONS[self.activation]
        layers: list[nn.Module] = []
        last = len(self.sizes) - (3 if self.dueling else 2)
        for place, (inner, outer) in enumerate(itertools.pairwise(self.sizes[: last + 2])):
            layers.append(nn.Linear(inner, outer))
            if place < last or self.dueling:
                layers.append(kind())
        if self.dueling:
            # The last layer before the split is made twice, one for each head.
            del layers[-2:]
            layers.append(Dueling(self.sizes[-3], self.sizes[-2], self.sizes[-1], activation=kind))
        if self.squashed:
            layers.append(nn.Tanh())
        if self.range is not None:
            layers.append(Stretch(*self.range))
        return Network(*layers, architecture=self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NatureCNN:
    """The convolutional network of Mnih et al. 2015, methods: three convolutions and a hidden layer of 512.

    Args:
        actions: outputs, >= 2.
        channels: frames of the input, >= 1.
        side: of the square frames in pixels, >= 36.
        dueling: whether the hidden layer splits into a value and advantages. See `Dueling`.
    """

    actions: int
    channels: int = 1
    side: int = 84
    dueling: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "actions", integer=True, least=2)
        check_fields(self, "channels", integer=True, least=1)
        check_fields(self, "side", integer=True, least=36)
        check_flags(self, "dueling")

    def build(self) -> Network:
        side = ((self.side - 8) // 4 + 1 - 4) // 2 + 1 - 2
        features = [
            *(nn.Conv2d(self.channels, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()),
        ]
        head: list[nn.Module]
        if self.dueling:
            head = [Dueling(64 * side * side, 512, self.actions, activation=nn.ReLU)]
        else:
            head = [nn.Linear(64 * side * side, 512), nn.ReLU(), nn.Linear(512, self.actions)]
        return Network(*features, *head, architecture=self)


class Dueling(nn.Module):
    """Two heads, a value and advantages: ``Q = V + A - mean A``, each head with a hidden layer of its own.

    The sum is folded into one last layer, so that bounds meet one affine map of both hidden layers and nothing is lost on
    the mean.

    Args:
        inputs, hidden, actions: widths.
        activation: between the two layers of each head.

    Source: Wang et al. 2016, equation 9.
    """

    def __init__(self, inputs: int, hidden: int, actions: int, *, activation: type[nn.Module]) -> None:
        super().__init__()
        self.value_hidden, self.advantage_hidden = nn.Linear(inputs, hidden), nn.Linear(inputs, hidden)
        self.value, self.advantage = nn.Linear(hidden, 1), nn.Linear(hidden, actions)
        self.activation = activation()

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch actions"]:
        hidden = torch.cat(
            [self.activation(self.value_hidden(x)), self.activation(self.advantage_hidden(x))], 1
        )
        advantage = self.advantage.weight - self.advantage.weight.mean(0, keepdim=True)
        weight = torch.cat([self.value.weight.expand(advantage.shape), advantage], 1)
        bias = self.value.bias + self.advantage.bias - self.advantage.bias.mean()
        return functional.linear(hidden, weight, bias)


class Stretch(nn.Module):
    """Stretch numbers in [-1, 1] to a range: how stable-baselines3 makes actions of a squashed output.

    Args:
        low, high: the ends for each coordinate.
    """

    def __init__(self, low: tuple[float, ...], high: tuple[float, ...]) -> None:
        super().__init__()
        ends = torch.tensor([low, high], dtype=torch.float64)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", ((ends[1] - ends[0]) / 2).float(), persistent=False)
        self.register_buffer("shift", ((ends[1] + ends[0]) / 2).float(), persistent=False)

    def forward(self, x: Float[Tensor, "batch coordinates"]) -> Float[Tensor, "batch coordinates"]:
        return x * self.scale + self.shift
