"""The recipe of a sentence classifier: how it is trained, and its accuracy where words' embeddings may move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from robustsuite.arguments import check_fields, check_kind, check_numbers
from robustsuite.evaluation import Evaluation, Identity
from robustsuite.recipes import Recipe
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
from robustsuite.training import (
    HeldOut,
    TensorData,
    Training,
    Update,
    fit,
    load_model,
    seeded,
)

from .data import load_text
from .evaluation import evaluate_embedded
from .models import Pooling, SentenceClassifier
from .perturbation import WordLinf
from .tokenization import Vocabulary

VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True, kw_only=True)
class SentenceClassification(Recipe):
    """Train a classifier of sentences; measure clean, attacked and certified accuracy in embedding space.

    Args:
        data: "reviews" (made by the package), or what `load_text` takes.
        subject: what the report calls the model.
        pooling: of the network.
        dim: of an embedding, >= 1.
        length: words of a sentence that are read, >= 1; shorter ones are padded.
        least_count: words that are rarer in the training data count as unknown, >= 1.
        update: what a step of training does: its objective and optimiser.
        training: how long, and in which batches.
        held_out: the part of the training data that chooses the weights, and what it measures.
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
    update: Update
    training: Training
    held_out: HeldOut = HeldOut()
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
        check_kind(self.update, Update, "update", "an update such as Descent(Standard())")
        check_kind(self.training, Training, "training", "a Training(epochs=...)")
        check_kind(self.held_out, HeldOut, "held_out", "a HeldOut(measure=...)")
        check_kind(self.evaluation, Evaluation, "evaluation", "an Evaluation(...)")

    def train(self, run: Run) -> None:
        data = load_text(self.data, "train", download=self.download)
        vocabulary = Vocabulary.learn(data.sentences, least_count=self.least_count)
        vocabulary.save(run.path / VOCABULARY_FILE)
        kept, validate = self.held_out.split(
            TensorData(vocabulary.encode(data.sentences, self.length), data.y), seed=self.seed
        )
        fit(
            self._model(vocabulary, data.classes),
            self.update,
            kept,
            training=self.training,
            run=run,
            seed=self.seed,
            device=self.device,
            validate=validate,
        )

    def evaluate(self, run: Run) -> list[Record]:
        data = load_text(self.data, "test", download=self.download)
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
