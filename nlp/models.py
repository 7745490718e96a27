"""Classifiers of sentences: an embedding table, and a network from embedded sentences to logits.

The two parts are separate modules, because attacks and bounds work on embedded sentences. Padding needs no mask
inside the network: its embedding is zero, and the perturbation leaves it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustsuite.arguments import check_number, check_numbers

from .perturbation import word_weights


@runtime_checkable
class Pooling(Protocol):
    """Describes the network from embedded sentences to logits."""

    averaged: ClassVar[bool]
    """Whether embeddings are divided by the sentence's number of words before they enter the network."""

    def build(self, dim: int, classes: int) -> nn.Module:
        """Make the network: (batch, length, dim) to (batch, classes), weights from torch's global generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanPooling:
    """The mean of the words' embeddings, then an MLP: sees which words stand in a sentence, not their order.

    Args:
        hidden: widths of the MLP's hidden layers.
    """

    averaged: ClassVar[bool] = True
    hidden: tuple[int, ...] = (64,)

    def __post_init__(self) -> None:
        check_numbers("hidden", self.hidden, integer=True, least=1)

    def build(self, dim: int, classes: int) -> nn.Module:
        return nn.Sequential(SumOverWords(), *_mlp((dim, *self.hidden, classes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMPooling:
    """The last state of an LSTM that reads the sentence from left to right, then an MLP.

    Args:
        width: of the LSTM's state.
        hidden: widths of the MLP's hidden layers.
    """

    averaged: ClassVar[bool] = False
    width: int = 32
    hidden: tuple[int, ...] = (32,)

    def __post_init__(self) -> None:
        check_number("width", self.width, integer=True, least=1)
        check_numbers("hidden", self.hidden, integer=True, least=1)

    def build(self, dim: int, classes: int) -> nn.Module:
        return nn.Sequential(LastState(dim, self.width), *_mlp((self.width, *self.hidden, classes)))


class SumOverWords(nn.Module):
    """Sum over the positions: the mean, where embeddings come divided by the number of words."""

    def forward(self, x: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch dim"]:
        return x.sum(1)


class LastState(nn.Module):
    """Run an LSTM over the positions and give its last output.

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, width, batch_first=True)

    def forward(self, x: Float[Tensor, "batch length dim"]) -> Float[Tensor, "batch width"]:
        outputs, _ = self.lstm(x)
        last: Tensor = outputs[:, -1]
        return last


class SentenceClassifier(nn.Module):
    """An embedding table and a network. Token 0 is padding.

    Every coordinate of an embedding lies in (-1, 1): the hyperbolic tangent of the table's entry. So a radius means
    the same for every model, and training cannot escape a perturbation by making embeddings large.

    Args:
        words: size of the vocabulary.
        dim: of an embedding.
        pooling: describes the network.
        classes: number of logits.
    """

    def __init__(self, *, words: int, dim: int, pooling: Pooling, classes: int) -> None:
        super().__init__()
        for name, size, least in (("words", words, 2), ("dim", dim, 1), ("classes", classes, 2)):
            check_number(name, size, integer=True, least=least)
        self.table = nn.Embedding(words, dim)
        self.network = pooling.build(dim, classes)
        self._averaged = pooling.averaged

    def embed(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length dim"]:
        """Give what the network takes: embedded words, zero at padding (divided by their number for a mean)."""
        weights = word_weights(tokens.ne(0), averaged=self._averaged)
        return torch.tanh(self.table(tokens)) * weights.unsqueeze(2)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch classes"]:
        logits: Tensor = self.network(self.embed(tokens))
        return logits


def _mlp(sizes: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return [*layers, nn.Linear(sizes[-2], sizes[-1])]
