"""Evaluation of a sentence classifier in embedding space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from robustsuite.evaluation import Evaluation, Identity
from robustsuite.perturbations import Perturbation
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run

from .models import SentenceClassifier


def evaluate_embedded(
    model: SentenceClassifier,
    tokens: Int[Tensor, "n length"],
    y: Int[Tensor, " n"],
    perturbations: Sequence[Perturbation],
    *,
    evaluation: Evaluation,
    identity: Identity,
    run: Run,
) -> list[Record]:
    """Measure clean, attacked and certified accuracy where the words' embeddings may move.

    Args:
        model: in evaluation mode.
        tokens: encoded sentences.
        y: their labels.
        perturbations: of embedded sentences, such as `WordLinf(0.1)`.
        evaluation: the attack and the certificates; they see the network behind the embedding table.
        identity: what the records say they are about.
        run: is told of progress.

    Returns:
        The records of `evaluation`.
    """
    with torch.no_grad():
        embedded = torch.cat(
            [model.embed(part.to(_device(model))).cpu() for part in torch.split(tokens, 500)]
        )
    return evaluation(model.network, embedded, y, perturbations, identity=identity, run=run)


def _device(model: SentenceClassifier) -> torch.device:
    return model.table.weight.device
