"""Sentence classifiers: standard and certified training, attacks and certificates in embedding space."""

from typing import TYPE_CHECKING

from robustsuite import lazily

from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from .data import load_text
    from .models import LSTMPooling, MeanPooling, Pooling, SentenceClassifier
    from .objectives import InEmbeddings, MeasuredInEmbeddings
    from .perturbation import WordLinf
    from .reviews import load_reviews
    from .sentence_classification import SentenceClassification
    from .tokenization import Vocabulary

__all__ = [
    "DEMO",
    "RECIPES",
    "InEmbeddings",
    "LSTMPooling",
    "MeanPooling",
    "MeasuredInEmbeddings",
    "Pooling",
    "SentenceClassification",
    "SentenceClassifier",
    "Vocabulary",
    "WordLinf",
    "load_reviews",
    "load_text",
]

__getattr__ = lazily.names(
    __name__,
    data="load_text",
    models="LSTMPooling MeanPooling Pooling SentenceClassifier",
    objectives="InEmbeddings MeasuredInEmbeddings",
    perturbation="WordLinf",
    reviews="load_reviews",
    sentence_classification="SentenceClassification",
    tokenization="Vocabulary",
)
