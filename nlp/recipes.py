"""Recipes of sentence classifiers: standard, adversarial and certified training against moved word embeddings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from robustsuite import bounds
from robustsuite.attacks import PGD
from robustsuite.data import TextData, load_text
from robustsuite.evaluation import Evaluation, Identity
from robustsuite.recipes import Recipe
from robustsuite.records import Record
from robustsuite.runs import Run
from robustsuite.training import (
    Adam,
    Certified,
    Objective,
    SmoothedRamp,
    Standard,
    Steps,
    Training,
    fit,
    load_model,
    seeded,
)

from .evaluation import evaluate_embedded
from .models import LSTMPooling, MeanPooling, Pooling, SentenceClassifier
from .objectives import InEmbeddings
from .perturbation import WordLinf
from .reviews import load_reviews
from .tokenization import Vocabulary

VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True, kw_only=True)
class SentenceClassification(Recipe):
    """Train a classifier of sentences; measure clean, attacked and certified accuracy in embedding space.

    Args:
        data: "reviews" (made by the package), or what `robustsuite.data.load_text` takes.
        subject: what the report calls the model.
        pooling: of the network.
        dim: of an embedding.
        length: words of a sentence that are read; shorter ones are padded.
        least_count: words that are rarer in the training data count as unknown.
        objective: what training minimises.
        training: how long and in which steps.
        radii: of `WordLinf`, to measure.
        evaluation: the attack and the certificates.
        measured: number of test sentences that are measured, from the first; None for all.
    """

    domain: ClassVar[str] = "nlp"

    data: str
    subject: str
    pooling: Pooling
    dim: int = 16
    length: int = 24
    least_count: int = 1
    objective: Objective
    training: Training
    radii: tuple[float, ...]
    evaluation: Evaluation = Evaluation()
    measured: int | None = None

    def train(self, run: Run) -> None:
        data = _load(self.data, "train")
        vocabulary = Vocabulary.learn(data.sentences, least_count=self.least_count)
        vocabulary.save(run.path / VOCABULARY_FILE)
        fit(
            self._model(vocabulary, data.classes),
            self.objective,
            vocabulary.encode(data.sentences, self.length),
            data.y,
            training=self.training,
            run=run,
            seed=self.seed,
            device=self.device,
        )

    def evaluate(self, run: Run) -> list[Record]:
        data = _load(self.data, "test")
        vocabulary = Vocabulary.load(run.path / VOCABULARY_FILE)
        model = self._model(vocabulary, data.classes)
        load_model(model, run, device=self.device)
        count = len(data) if self.measured is None else self.measured
        return evaluate_embedded(
            model,
            vocabulary.encode(data.sentences[:count], self.length),
            data.y[:count],
            [WordLinf(eps, averaged=self.pooling.averaged) for eps in self.radii],
            evaluation=self.evaluation,
            identity=Identity(
                domain=self.domain, subject=self.subject, data=data.name, seed=self.seed, recipe=self.name
            ),
            run=run,
        )

    def _model(self, vocabulary: Vocabulary, classes: int) -> SentenceClassifier:
        return seeded(
            lambda: SentenceClassifier(
                words=len(vocabulary), dim=self.dim, pooling=self.pooling, classes=classes
            ),
            self.seed,
        )


def _load(name: str, split: str) -> TextData:
    return load_reviews(split) if name == "reviews" else load_text(name, split)


def _pair(
    data: str,
    *,
    pooling: Pooling,
    eps: float,
    radii: tuple[float, ...],
    epochs: tuple[int, int],
    rate: float,
    evaluation: Evaluation,
    length: int = 24,
    least_count: int = 1,
    measured: int | None = None,
) -> tuple[SentenceClassification, ...]:
    """Give the two recipes of a data set and a pooling: standard and certified training."""
    kind = "mean" if pooling.averaged else "lstm"
    standard, certified = epochs
    plain = SentenceClassification(
        name=f"{data.replace('_', '-')}-{kind}-standard",
        description=f"{data}: {kind} pooling, standard training",
        data=data,
        subject=f"{kind} pooling, standard",
        pooling=pooling,
        length=length,
        least_count=least_count,
        objective=Standard(),
        training=Training(epochs=standard, batch_size=128, optimizer=Adam(rate=rate)),
        radii=radii,
        evaluation=evaluation,
        measured=measured,
    )
    objective = Certified(
        perturbation=WordLinf(eps, averaged=pooling.averaged),
        radius=SmoothedRamp(begin=certified * 0.2, length=certified * 0.5),
        kappa_end=0.25,
    )
    return (
        plain,
        replace(
            plain,
            name=f"{data.replace('_', '-')}-{kind}-certified",
            description=f"{data}: {kind} pooling, certified training (CROWN-IBP), eps {eps:.3g}",
            subject=f"{kind} pooling, certified",
            objective=InEmbeddings(objective),
            training=replace(
                plain.training,
                epochs=certified,
                rate_schedule=Steps(at=(certified * 0.85,)),
                gradient_norm=8.0,
            ),
        ),
    )


# Through an LSTM the backward pass of every step is dear: intervals train it, and certify it in the end.
_BY_MEAN = Evaluation(attack=PGD(steps=40))
_BY_LSTM = Evaluation(attack=PGD(steps=20), certificates=(bounds.ibp, bounds.crown_ibp))

_REVIEWS_MEAN = _pair(
    "reviews",
    pooling=MeanPooling(),
    eps=0.03,
    radii=(0.01, 0.03, 0.05),
    epochs=(20, 30),
    rate=5e-3,
    evaluation=_BY_MEAN,
    length=20,
)
_REVIEWS_LSTM = _pair(
    "reviews",
    pooling=LSTMPooling(),
    eps=0.1,
    radii=(0.05, 0.1, 0.2),
    epochs=(15, 20),
    rate=5e-3,
    evaluation=_BY_LSTM,
    length=20,
    measured=500,
)

_SENTENCES = tuple(
    recipe
    for data in ("sentiment_sentences", "sst2_sentences")
    for recipe in (
        *_pair(
            data,
            pooling=MeanPooling(),
            eps=0.05,
            radii=(0.02, 0.05, 0.1),
            epochs=(10, 30),
            rate=3e-3,
            evaluation=_BY_MEAN,
            length=40,
            least_count=2,
        ),
        *_pair(
            data,
            pooling=LSTMPooling(),
            eps=0.05,
            radii=(0.02, 0.05, 0.1),
            epochs=(8, 20),
            rate=3e-3,
            evaluation=_BY_LSTM,
            length=30,
            least_count=2,
            measured=300,
        ),
    )
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*_REVIEWS_MEAN, *_REVIEWS_LSTM, *_SENTENCES)}
DEMO: tuple[str, ...] = tuple(recipe.name for recipe in (*_REVIEWS_MEAN, *_REVIEWS_LSTM))
