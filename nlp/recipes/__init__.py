"""Recipes of sentence classifiers, a file for each data set."""

from robustsuite.recipes import catalogue

from . import reviews, sentiment_sentences, sst2_sentences

RECIPES = catalogue(reviews.FAMILY, sentiment_sentences.FAMILY, sst2_sentences.FAMILY)
DEMO: tuple[str, ...] = (
    "reviews-mean-standard",
    "reviews-mean-certified",
    "reviews-lstm-standard",
    "reviews-lstm-certified",
)
