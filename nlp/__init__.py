"""Sentence classifiers: standard and certified training, attacks and certificates in embedding space."""

from .models import LSTMPooling, MeanPooling, Pooling, SentenceClassifier
from .objectives import InEmbeddings
from .perturbation import WordLinf
from .recipes import DEMO, RECIPES, SentenceClassification
from .reviews import load_reviews
from .tokenization import Vocabulary

__all__ = [
    "DEMO",
    "RECIPES",
    "InEmbeddings",
    "LSTMPooling",
    "MeanPooling",
    "Pooling",
    "SentenceClassification",
    "SentenceClassifier",
    "Vocabulary",
    "WordLinf",
    "load_reviews",
]
