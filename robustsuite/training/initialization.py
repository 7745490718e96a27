"""Initial weights from an explicit seed, and those that keep interval bounds from growing with depth."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from robustsuite import seeding

Made = TypeVar("Made")


def seeded(make: Callable[[], Made], seed: int) -> Made:
    """Call `make` with torch's global generator at the seed's "init" stream, and put the generator back.

    Torch's layers draw their weights from the global generator: so a model depends on the seed alone.

    Args:
        make: builds a module on the CPU.
        seed: of the run, >= 0.

    Example:
        >>> one, two = (seeded(lambda: nn.Linear(2, 2), seed=0) for _ in range(2))
        >>> torch.equal(one.weight, two.weight)
        True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeding.derive(seed, "init"))
        return make()


def initialize_for_ibp(model: nn.Module, *, generator: torch.Generator) -> None:
    """Draw the weights of all linear and convolutional layers from N(0, std = sqrt(2 pi) / fan_in), biases 0.

    Then the expected radius of an interval stays about constant through a ReLU layer, where the usual
    initialisation multiplies it by a factor of the order of sqrt(fan_in).

    Source: Shi et al. 2021 (2103.17268), section 3.2.

    Args:
        model: changed in place.
        generator: the stream to draw from, on the CPU.
    """
    for part in model.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            std = math.sqrt(2 * math.pi) / part.weight[0].numel()
            with torch.no_grad():
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator) * std)
                if part.bias is not None:
                    part.bias.zero_()
