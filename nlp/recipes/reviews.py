"""Made review sentences: mean pooling and an LSTM, standard and certified training against moved word embeddings."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import nlp
from ..data import REVIEWS

FAMILY = Family("reviews", data=(REVIEWS,))


@FAMILY.recipe("reviews-mean-standard", "mean pooling, standard", minutes=0.3)
def mean_standard() -> nlp.SentenceClassification:
    return nlp.SentenceClassification(
        data="reviews",
        subject="mean pooling, standard",
        pooling=nlp.MeanPooling(),
        length=20,
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=5e-3)),
        training=rs.training.Training(epochs=20, batch_size=128),
        radii=(0.01, 0.03, 0.05),
    )


@FAMILY.recipe("reviews-mean-certified", "mean pooling, certified (CROWN-IBP, eps 0.03)", minutes=0.5)
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
            optimizer=rs.training.Adam(rate=5e-3),
            gradient_norm=8.0,
        ),
        training=rs.training.Training(
            epochs=30, batch_size=128, rate_schedule=rs.training.Steps(at=(25.5,)), keep_best_from=21.0
        ),
        held_out=rs.training.HeldOut(
            measure=nlp.MeasuredInEmbeddings(
                rs.training.CertifiedAccuracy(
                    perturbation=nlp.WordLinf(0.03, averaged=True), method=rs.bounds.crown_ibp
                )
            )
        ),
    )


@FAMILY.recipe("reviews-lstm-standard", "LSTM pooling, standard", minutes=0.7)
def lstm_standard() -> nlp.SentenceClassification:
    return nlp.SentenceClassification(
        data="reviews",
        subject="LSTM pooling, standard",
        pooling=nlp.LSTMPooling(),
        length=20,
        update=rs.training.Descent(rs.training.Standard(), optimizer=rs.training.Adam(rate=5e-3)),
        training=rs.training.Training(epochs=15, batch_size=128),
        radii=(0.05, 0.1, 0.2),
        evaluation=rs.evaluation.Evaluation(certificates=(rs.bounds.ibp, rs.bounds.crown_ibp)),
        measured=300,
    )


# Backward passes through every step of an LSTM are dear, so intervals alone train it. They explode in an LSTM that never
# saw them: so the robust loss counts from the smallest radius on (kappa starts at 1/2).
@FAMILY.recipe("reviews-lstm-certified", "LSTM pooling, certified (IBP, eps 0.1)", minutes=1)
def lstm_certified() -> nlp.SentenceClassification:
    return replace(
        lstm_standard(),
        subject="LSTM pooling, certified",
        update=rs.training.Descent(
            nlp.InEmbeddings(
                rs.training.Certified(
                    perturbation=nlp.WordLinf(0.1),
                    radius=rs.training.SmoothedRamp(begin=1.0, length=7.0),
                    kappa=rs.training.Linear(start=0.5, end=0.25, length=1.0),
                    beta=rs.training.Constant(0.0),
                )
            ),
            optimizer=rs.training.Adam(rate=1e-2),
            gradient_norm=1.0,
        ),
        training=rs.training.Training(
            epochs=10, batch_size=128, rate_schedule=rs.training.Steps(at=(8.5,)), keep_best_from=8.0
        ),
        held_out=rs.training.HeldOut(
            measure=nlp.MeasuredInEmbeddings(rs.training.CertifiedAccuracy(perturbation=nlp.WordLinf(0.1)))
        ),
    )
