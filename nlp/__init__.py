"""Language: training of sentence classifiers against moved word embeddings, and their evaluation."""

from .models import LSTMPooling, MeanPooling, SentenceClassifier
from .perturbation import WordLinf
from .recipes import DEMO, RECIPES, SentenceClassification
from .reviews import load_reviews
from .tokenization import Vocabulary

__all__ = [
    "DEMO",
    "RECIPES",
    "LSTMPooling",
    "MeanPooling",
    "SentenceClassification",
    "SentenceClassifier",
    "Vocabulary",
    "WordLinf",
    "load_reviews",
]
