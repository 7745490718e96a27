"""Poolings under test: add one here, and the property tests of models and bounds cover it."""

from __future__ import annotations

from robustsuite.nlp.models import LSTMPooling, MeanPooling, Pooling, SentenceClassifier
from robustsuite.training import seeded

POOLINGS: dict[str, Pooling] = {"mean": MeanPooling(hidden=(8,)), "LSTM": LSTMPooling(width=6, hidden=(8,))}


def small_model(pooling: Pooling) -> SentenceClassifier:
    """Give a small classifier of 12 words in 3 classes, the same each time."""
    return seeded(lambda: SentenceClassifier(words=12, dim=5, pooling=pooling, classes=3), 0)
