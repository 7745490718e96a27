"""Optimisers as values: frozen dataclasses that a recipe can hold, and that make torch's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from robustsuite.arguments import check_fields, check_numbers
from robustsuite.errors import InvalidInput


@runtime_checkable
class Optimizer(Protocol):
    """Hyper-parameters of an optimiser."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimiser over `parameters`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adam:
    """Adam; with a weight decay, its decoupled form (AdamW).

    Source: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.

    Args:
        rate: the learning rate, > 0.
        betas: decays of the two moments, each in [0, 1).
        weight_decay: >= 0.

    Raises:
        InvalidInput: a value outside its range.
    """

    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "rate", above=0)
        check_fields(self, "weight_decay", least=0)
        check_numbers("betas", self.betas, least=0, below=1)
        if len(self.betas) != 2:
            raise InvalidInput(f"betas is {self.betas}; expected two numbers in [0, 1)")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=self.rate, betas=self.betas, weight_decay=self.weight_decay)


@dataclass(frozen=True, slots=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with Nesterov's momentum.

    Args:
        rate: the learning rate, > 0.
        momentum: in [0, 1); 0 is plain descent.
        weight_decay: >= 0.

    Raises:
        InvalidInput: a value outside its range.
    """

    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "rate", above=0)
        check_fields(self, "momentum", least=0, below=1)
        check_fields(self, "weight_decay", least=0)

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            parameters,
            lr=self.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.momentum > 0,
        )
