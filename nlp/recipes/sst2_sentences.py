"""Whole sentences of SST-2: the networks and trainings of sentiment_sentences.py on other data."""

from __future__ import annotations

from dataclasses import replace

from robustsuite.recipes import Family

from ... import nlp
from ..data import SST2_SENTENCES
from . import sentiment_sentences as base

FAMILY = Family("SST-2 sentences", data=(SST2_SENTENCES,))


@FAMILY.recipe("sst2-sentences-mean-standard", "mean pooling, standard", minutes=1)
def mean_standard() -> nlp.SentenceClassification:
    return replace(base.mean_standard(), data="sst2_sentences")


@FAMILY.recipe("sst2-sentences-mean-certified", "mean pooling, certified (CROWN-IBP, eps 0.03)", minutes=1)
def mean_certified() -> nlp.SentenceClassification:
    return replace(base.mean_certified(), data="sst2_sentences")


@FAMILY.recipe("sst2-sentences-lstm-standard", "LSTM pooling, standard", minutes=1)
def lstm_standard() -> nlp.SentenceClassification:
    return replace(base.lstm_standard(), data="sst2_sentences", measured=500)


@FAMILY.recipe("sst2-sentences-lstm-certified", "LSTM pooling, certified (IBP, eps 0.1)", minutes=1)
def lstm_certified() -> nlp.SentenceClassification:
    return replace(base.lstm_certified(), data="sst2_sentences", measured=500)
