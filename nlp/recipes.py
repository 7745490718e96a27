"""Recipes of sentence classifiers: standard, adversarial and certified training against moved word embeddings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from robustsuite import bounds
from robustsuite.arguments import check_callable, check_fields, check_kind, check_numbers
from robustsuite.data import TextData, load_text
from robustsuite.evaluation import Evaluation, Identity
from robustsuite.recipes import Recipe
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
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
        dim: of an embedding, >= 1.
        length: words of a sentence that are read, >= 1; shorter ones are padded.
        least_count: words that are rarer in the training data count as unknown, >= 1.
        objective: what training minimises.
        training: how long and in which steps.
        radii: of `WordLinf`, to measure.
        evaluation: the attack and the certificates.
        measured: number of test sentences that are measured, >= 1, from the first; None for all.
        download: whether data that is not here may be fetched from the Hub.
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
    download: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, "dim", "length", "least_count", integer=True, least=1)
        check_fields(self, "measured", integer=True, least=1, optional=True)
        check_numbers("radii", self.radii, least=0)
        check_kind(self.pooling, Pooling, "pooling", "a description of a network, such as MeanPooling()")
        check_callable(self.objective, "objective", "a training objective such as Standard()")
        check_kind(self.training, Training, "training", "a Training(epochs=...)")
        check_kind(self.evaluation, Evaluation, "evaluation", "an Evaluation(...)")

    def train(self, run: Run) -> None:
        data = _load(self.data, "train", download=self.download)
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
        data = _load(self.data, "test", download=self.download)
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


def _load(name: str, split: str, *, download: bool) -> TextData:
    return load_reviews(split) if name == "reviews" else load_text(name, split, download=download)


def _pair(
    plain: SentenceClassification, *, certified: Training, objective: Certified, method: str
) -> tuple[SentenceClassification, ...]:
    """Give the two recipes of a data set and a pooling: standard and certified training.

    Args:
        plain: the standard one.
        certified: epochs and steps of certified training.
        objective: of certified training.
        method: its name, for the description.
    """
    pooling = plain.subject.partition(",")[0]
    eps = objective.perturbation.describe()
    return (
        plain,
        replace(
            plain,
            name=plain.name.replace("standard", "certified"),
            description=f"{plain.data}: {pooling}, certified training ({method}), {eps}",
            subject=f"{pooling}, certified",
            objective=InEmbeddings(objective),
            training=certified,
        ),
    )


def _with_mean(
    data: str,
    *,
    epochs: tuple[int, int],
    batch_size: int,
    length: int,
    least_count: int = 1,
    rate: float = 5e-3,
) -> tuple[SentenceClassification, ...]:
    """Give the pair with mean pooling, trained against WordLinf(0.03) by CROWN-IBP."""
    standard, certified = epochs
    training = Training(epochs=standard, batch_size=batch_size, optimizer=Adam(rate=rate))
    return _pair(
        SentenceClassification(
            name=f"{data.replace('_', '-')}-mean-standard",
            description=f"{data}: mean pooling, standard training",
            data=data,
            subject="mean pooling, standard",
            pooling=MeanPooling(),
            length=length,
            least_count=least_count,
            objective=Standard(),
            training=training,
            radii=(0.01, 0.03, 0.05),
        ),
        certified=replace(
            training, epochs=certified, rate_schedule=Steps(at=(certified * 0.85,)), gradient_norm=8.0
        ),
        objective=Certified(
            perturbation=WordLinf(0.03, averaged=True),
            radius=SmoothedRamp(begin=certified * 0.2, length=certified * 0.5),
            kappa_end=0.25,
        ),
        method="CROWN-IBP",
    )


def _with_lstm(
    data: str, *, epochs: tuple[int, int], batch_size: int, length: int, measured: int, least_count: int = 1
) -> tuple[SentenceClassification, ...]:
    """Give the pair with LSTM pooling, trained against WordLinf(0.1) by IBP.

    Backward passes through every step of an LSTM are dear, so intervals alone train it. They explode in an LSTM
    that never saw them: so the robust loss counts from the smallest radius on (kappa starts at 1/2).
    """
    standard, certified = epochs
    training = Training(epochs=standard, batch_size=batch_size, optimizer=Adam(rate=5e-3))
    return _pair(
        SentenceClassification(
            name=f"{data.replace('_', '-')}-lstm-standard",
            description=f"{data}: LSTM pooling, standard training",
            data=data,
            subject="LSTM pooling, standard",
            pooling=LSTMPooling(),
            length=length,
            least_count=least_count,
            objective=Standard(),
            training=training,
            radii=(0.05, 0.1, 0.2),
            evaluation=Evaluation(certificates=(bounds.ibp, bounds.crown_ibp)),
            measured=measured,
        ),
        certified=replace(
            training,
            epochs=certified,
            optimizer=Adam(rate=1e-2),
            rate_schedule=Steps(at=(certified * 0.85,)),
            gradient_norm=1.0,
        ),
        objective=Certified(
            perturbation=WordLinf(0.1),
            radius=SmoothedRamp(begin=certified * 0.1, length=certified * 0.7),
            kappa_start=0.5,
            kappa_end=0.25,
            beta_start=0.0,
        ),
        method="IBP",
    )


_REVIEWS_MEAN = _with_mean("reviews", epochs=(20, 30), batch_size=128, length=20)
_REVIEWS_LSTM = _with_lstm("reviews", epochs=(15, 10), batch_size=128, length=20, measured=300)
_OTHERS = tuple(
    recipe
    for data, measured in (("sentiment_sentences", 600), ("sst2_sentences", 500))
    for recipe in (
        *_with_mean(data, epochs=(10, 30), batch_size=64, length=40, least_count=2, rate=2e-3),
        *_with_lstm(data, epochs=(6, 20), batch_size=64, length=24, least_count=2, measured=measured),
    )
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (*_REVIEWS_MEAN, *_REVIEWS_LSTM, *_OTHERS)}
DEMO: tuple[str, ...] = tuple(recipe.name for recipe in (*_REVIEWS_MEAN, *_REVIEWS_LSTM))
