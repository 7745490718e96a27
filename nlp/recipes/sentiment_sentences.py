"""Sentences with sentiment: mean pooling and an LSTM, standard and certified training against moved word embeddings."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import nlp
from ..data import SENTIMENT_SENTENCES

FAMILY = Family("sentiment sentences", data=(SENTIMENT_SENTENCES,))


@FAMILY.recipe("sentiment-sentences-mean-standard", "mean pooling, standard", minutes=1)
def mean_standard() -> nlp.SentenceClassification:
    return nlp.SentenceClassification(
        data="sentiment_sentences",
        subject="mean pooling, standard",
        pooling=nlp.MeanPooling(),
        length=40,
        least_count=2,
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=2e-3)),
        training=rs.training.Training(epochs=10, batch_size=64),
        radii=(0.01, 0.03, 0.05),
    )


@FAMILY.recipe(
    "sentiment-sentences-mean-certified", "mean pooling, certified (CROWN-IBP, eps 0.03)", minutes=1
)
def mean_certified() -> nlp.SentenceClassification:
    return replace(
        mean_standard(),
        subject="mean pooling, certified",
        update=rs.training.Descent(
            nlp.InEmbeddings(
                rs.training.Certified(
                    perturbation=nlp.WordLinf(0.03, averaged=True),
                    radius=rs.training.SmoothedRamp(begin=6.0, length=15.0),
                    kappa=rs.training.Linear(start=1.0, end=0.25, length=1.0),
                )
            ),
            optimizer=rs.training.Adam(rate=2e-3),
            gradient_norm=8.0,
        ),
        training=rs.training.Training(
            epochs=30, batch_size=64, rate_schedule=rs.training.Steps(at=(25.5,)), keep_best_from=21.0
        ),
        held_out=rs.training.HeldOut(
            measure=nlp.MeasuredInEmbeddings(
                rs.training.CertifiedAccuracy(
                    perturbation=nlp.WordLinf(0.03, averaged=True), method=rs.bounds.crown_ibp
                )
            )
        ),
    )


@FAMILY.recipe("sentiment-sentences-lstm-standard", "LSTM pooling, standard", minutes=1)
def lstm_standard() -> nlp.SentenceClassification:
    return nlp.SentenceClassification(
        data="sentiment_sentences",
        subject="LSTM pooling, standard",
        pooling=nlp.LSTMPooling(),
        length=24,
        least_count=2,
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=5e-3)),
        training=rs.training.Training(epochs=6, batch_size=64),
        radii=(0.05, 0.1, 0.2),
        evaluation=rs.evaluation.Evaluation(certificates=(rs.bounds.ibp, rs.bounds.crown_ibp)),
        measured=600,
    )


# See reviews.py for why IBP, and why kappa starts at 1/2.
@FAMILY.recipe("sentiment-sentences-lstm-certified", "LSTM pooling, certified (IBP, eps 0.1)", minutes=1)
def lstm_certified() -> nlp.SentenceClassification:
    return replace(
        lstm_standard(),
        subject="LSTM pooling, certified",
        update=rs.training.Descent(
            nlp.InEmbeddings(
                rs.training.Certified(
                    perturbation=nlp.WordLinf(0.1),
                    radius=rs.training.SmoothedRamp(begin=2.0, length=14.0),
                    kappa=rs.training.Linear(start=0.5, end=0.25, length=1.0),
                    beta=rs.training.Constant(0.0),
                )
            ),
            optimizer=rs.training.Adam(rate=1e-2),
            gradient_norm=1.0,
        ),
        training=rs.training.Training(
            epochs=20, batch_size=64, rate_schedule=rs.training.Steps(at=(17.0,)), keep_best_from=16.0
        ),
        held_out=rs.training.HeldOut(
            measure=nlp.MeasuredInEmbeddings(rs.training.CertifiedAccuracy(perturbation=nlp.WordLinf(0.1)))
        ),
    )
