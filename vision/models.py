"""Small image classifiers: networks that can be trained in seconds to minutes and certified.

Each is a frozen dataclass that describes the network; its `build` makes it. Inputs are images in [0, 1] of shape
(batch, channels, height, width), outputs logits (batch, classes). Strided convolutions take the place of pooling:
bounds of a maximum are loose.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from robustsuite.arguments import check_fields, check_number, check_numbers
from robustsuite.errors import InvalidInput

Shape = tuple[int, int, int]  # channels, height, width


@runtime_checkable
class Architecture(Protocol):
    """Describes a classifier of images."""

    def build(self, shape: Shape, classes: int) -> nn.Module:
        """Make the network, with weights from torch's global generator.

        Args:
            shape: of one image: (channels, height, width).
            classes: number of logits.
        """


class Normalization(nn.Module):
    """Subtract a mean and divide by a deviation, inside the model, so that radii stay in units of the input.

    Args:
        mean, deviation: the same for all channels; the deviation > 0.
    """

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self._mean, self._deviation = mean, deviation

    def forward(self, x: Tensor) -> Tensor:
        return (x - self._mean) / self._deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class MLP:
    """Fully connected layers with ReLU.

    Args:
        widths: of the hidden layers, at least one.
    """

    widths: tuple[int, ...] = (100, 100)

    def __post_init__(self) -> None:
        _check_sizes("widths", self.widths)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        _check_images(shape, classes)
        sizes = (shape[0] * shape[1] * shape[2], *self.widths)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvNet:
    """3x3 convolutions with ReLU, one of them of stride 2 for each entry of `channels`, then a hidden layer.

    Args:
        channels: of each stride-2 convolution; each halves height and width. At least one.
        repeats: stride-1 convolutions before each stride-2 one, >= 0.
        hidden: width of the fully connected layer.
        mean, deviation: of the inputs, taken out first.
    """

    channels: tuple[int, ...] = (16, 32)
    repeats: int = 0
    hidden: int = 100
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        _check_sizes("channels", self.channels)
        check_fields(self, "hidden", integer=True, least=1)
        check_fields(self, "repeats", integer=True, least=0)
        check_fields(self, "mean")
        check_fields(self, "deviation", above=0)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        _check_images(shape, classes)
        most = (max(shape[1:]) - 1).bit_length()
        if len(self.channels) > max(most, 1):
            raise InvalidInput(
                f"channels has {len(self.channels)} entries, each of which halves the image, of {shape[1]}x{shape[2]}; "
                f"expected at most {max(most, 1)}, down to one pixel"
            )
        layers: list[nn.Module] = []
        if (self.mean, self.deviation) != (0.0, 1.0):
            layers.append(Normalization(self.mean, self.deviation))
        inputs, height, width = shape
        for channels in self.channels:
            for stride in (*(1 for _ in range(self.repeats)), 2):
                layers += [nn.Conv2d(inputs, channels, 3, stride=stride, padding=1), nn.ReLU()]
                inputs = channels
            height, width = (height + 1) // 2, (width + 1) // 2
        layers += [nn.Flatten(), nn.Linear(inputs * height * width, self.hidden), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden, classes))


def _check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    if not isinstance(sizes, tuple) or not sizes:
        raise InvalidInput(f"{name} is {sizes}; expected at least one size, as a tuple of integers >= 1")
    check_numbers(name, sizes, integer=True, least=1)


def _check_images(shape: Shape, classes: int) -> None:
    """Check what a network is built for.

    Raises:
        InvalidInput: not (channels, height, width), or fewer than two classes.
    """
    if not isinstance(shape, tuple) or len(shape) != 3:
        raise InvalidInput(f"shape is {shape}; expected that of one image, (channels, height, width)")
    check_numbers("shape", shape, integer=True, least=1)
    check_number("classes", classes, integer=True, least=2)
