"""The recipe of an image classifier: how it is trained, and its clean, attacked and certified accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from robustsuite import seeding
from robustsuite.arguments import check_fields, check_kind
from robustsuite.data import ImageData
from robustsuite.evaluation import Evaluation, Identity
from robustsuite.perturbations import Perturbation
from robustsuite.recipes import Recipe
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
from robustsuite.training import (
    HeldOut,
    TensorData,
    Training,
    Update,
    fit,
    initialize_for_ibp,
    load_model,
    seeded,
)

from .data import load_images
from .models import Architecture


@dataclass(frozen=True, kw_only=True)
class Classification(Recipe):
    """Train a classifier of images and measure its clean, attacked and certified accuracy.

    Args:
        data: "digits", "mnist10k", "cifar10", or what else `load_images` takes.
        subject: what the report calls the model.
        architecture: of the network.
        update: what a step of training does: its objective and optimiser.
        training: how long, and in which batches.
        held_out: the part of the training data that chooses the weights, and what it measures.
        interval_start: whether the weights start small enough for interval bounds (Shi et al. 2021).
        perturbations: threat models to measure.
        evaluation: the attack and the certificates.
        measured: number of test images that are measured, >= 1, from the first; None for all.
        download: whether data that is not here may be fetched from the Hub.
    """

    domain: ClassVar[str] = "vision"

    data: str
    subject: str
    architecture: Architecture
    update: Update
    training: Training
    held_out: HeldOut = HeldOut()
    interval_start: bool = False
    perturbations: tuple[Perturbation, ...]
    evaluation: Evaluation = Evaluation()
    measured: int | None = None
    download: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, "measured", integer=True, least=1, optional=True)
        expected = "a description of a network, such as ConvNet()"
        check_kind(self.architecture, Architecture, "architecture", expected)
        check_kind(self.update, Update, "update", "an update such as Descent(Standard())")
        check_kind(self.training, Training, "training", "a Training(epochs=...)")
        check_kind(self.held_out, HeldOut, "held_out", "a HeldOut(measure=...)")
        check_kind(self.evaluation, Evaluation, "evaluation", "an Evaluation(...)")
        check_kind(self.perturbations, tuple, "perturbations", "a tuple of threat models such as Linf(0.1)")
        for perturbation in self.perturbations:
            check_kind(perturbation, Perturbation, "perturbations", "threat models such as Linf(0.1)")

    def train(self, run: Run) -> None:
        data = load_images(self.data, "train", download=self.download)
        for perturbation in self.perturbations:  # what cannot be measured is refused before it is trained for
            perturbation.around(data.x[:1])
        kept, validate = self.held_out.split(TensorData(data.x, data.y), seed=self.seed)
        fit(
            self._model(data),
            self.update,
            kept,
            training=self.training,
            run=run,
            seed=self.seed,
            device=self.device,
            validate=validate,
        )

    def evaluate(self, run: Run) -> list[Record]:
        data = load_images(self.data, "test", first=self.measured, download=self.download)
        model = load_model(self._model(data), run, device=self.device)
        identity = Identity(
            domain=self.domain, subject=self.subject, data=data.name, seed=self.seed, recipe=self.name
        )
        return self.evaluation(model, data.x, data.y, self.perturbations, identity=identity, run=run)

    def _model(self, data: ImageData) -> nn.Module:
        _, channels, height, width = data.x.shape
        shape = (channels, height, width)
        model = seeded(lambda: self.architecture.build(shape, data.classes), self.seed)
        if self.interval_start:
            initialize_for_ibp(model, generator=seeding.generator(self.seed, "init", "intervals"))
        return model
