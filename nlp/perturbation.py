"""Perturbations of embedded sentences: every word's embedding moves, padding stays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_fields, check_flags, check_number
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import BoxRegion, Linf, Perturbation
from robustsuite.perturbations.features import check_batch


@dataclass(frozen=True, slots=True)
class WordLinf(Perturbation):
    """Each word's embedding moves by at most `eps` in every coordinate; padding does not move.

    Padding is recognised by its embedding, which is zero (see `models.SentenceClassifier.embed`).

    Args:
        eps: radius in units of the embedding's coordinates, which lie in (-1, 1); >= 0.
        averaged: whether the input holds embeddings divided by the sentence's number of words, as mean
            pooling takes them: then the radius is divided alike.

    Raises:
        InvalidInput: a negative, infinite or NaN radius.
    """

    eps: float
    averaged: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "eps", least=0)
        check_flags(self, "averaged")

    def around(self, x: Float[Tensor, "batch length dim"]) -> BoxRegion:
        check_batch(x, "embedded sentences")
        if x.dim() != 3:
            raise InvalidInput(
                f"embedded sentences have shape {tuple(x.shape)}; expected (batch, length, dim): "
                "embed token indices with model.embed(tokens)"
            )
        radius = self.eps * word_weights(x.ne(0).any(2), averaged=self.averaged).unsqueeze(2).to(x.dtype)
        # Linf's own check that x is finite, then a radius for each word instead of one for all.
        center = Linf(0.0).around(x).center
        return BoxRegion(center, center - radius, center + radius)

    def scaled(self, factor: float) -> WordLinf:
        check_number("factor", factor, least=0)
        return replace(self, eps=self.eps * factor)

    def describe(self) -> str:
        return f"WordLinf({self.eps:.4g})"

    @property
    def norm(self) -> str:
        return "WordLinf"

    @property
    def radius(self) -> float:
        return self.eps


def word_weights(present: Tensor, *, averaged: bool) -> Float[Tensor, "batch length"]:
    """Give the weight of each position: 0 for padding; for a word 1, or 1 / the number of words.

    Args:
        present: booleans (batch, length), where a word is.
        averaged: whether weights sum to 1.
    """
    weights = present.to(torch.get_default_dtype())
    return weights / weights.sum(1, keepdim=True).clamp(min=1) if averaged else weights
