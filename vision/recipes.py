"""Recipes of image classifiers: standard, adversarial and certified training on the same data, measured alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from robustsuite import seeding
from robustsuite.arguments import check_callable, check_fields, check_kind
from robustsuite.data import ImageData, load_images
from robustsuite.evaluation import Evaluation, Identity
from robustsuite.perturbations import Linf, Perturbation
from robustsuite.recipes import Recipe
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
from robustsuite.training import (
    Adam,
    Adversarial,
    Certified,
    Linear,
    Objective,
    SmoothedRamp,
    Standard,
    Steps,
    Training,
    fit,
    initialize_for_ibp,
    load_model,
    seeded,
)

from .models import Architecture, ConvNet


@dataclass(frozen=True, kw_only=True)
class Classification(Recipe):
    """Train a classifier of images and measure its clean, attacked and certified accuracy.

    Args:
        data: "digits", "mnist10k", "cifar10", or what else `robustsuite.data.load_images` takes.
        subject: what the report calls the model.
        architecture: of the network.
        objective: what training minimises.
        training: how long and in which steps.
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
    objective: Objective
    training: Training
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
        check_callable(self.objective, "objective", "a training objective such as Standard()")
        check_kind(self.training, Training, "training", "a Training(epochs=...)")
        check_kind(self.evaluation, Evaluation, "evaluation", "an Evaluation(...)")
        check_kind(self.perturbations, tuple, "perturbations", "a tuple of threat models such as Linf(0.1)")
        for perturbation in self.perturbations:
            check_kind(perturbation, Perturbation, "perturbations", "threat models such as Linf(0.1)")

    def train(self, run: Run) -> None:
        data = load_images(self.data, "train", download=self.download)
        for perturbation in self.perturbations:  # what cannot be measured is refused before it is trained for
            perturbation.around(data.x[:1])
        fit(
            self._model(data),
            self.objective,
            data.x,
            data.y,
            training=self.training,
            run=run,
            seed=self.seed,
            device=self.device,
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


def _linf(*radii: float) -> tuple[Linf, ...]:
    return tuple(Linf(eps, clip=(0.0, 1.0)) for eps in radii)


def _trio(
    data: str,
    *,
    architecture: Architecture,
    eps: float,
    measured_eps: tuple[float, ...],
    epochs: tuple[int, int, int],
    rates: tuple[float, float, float],
    measured: int | None = None,
) -> tuple[Classification, ...]:
    """Give the three recipes of a data set: standard, adversarial (PGD) and certified (CROWN-IBP).

    Args:
        data: name of the data set.
        architecture: of all three.
        eps: radius in training.
        measured_eps: radii in evaluation.
        epochs: of the three trainings.
        rates: learning rates of the three trainings.
        measured: number of test images.
    """
    perturbation = Linf(eps, clip=(0.0, 1.0))
    standard, adversarial, certified = epochs
    plain = Classification(
        name=f"{data}-standard",
        description=f"{data}: conv net, standard training",
        data=data,
        subject="conv net, standard",
        architecture=architecture,
        objective=Standard(),
        training=Training(epochs=standard, batch_size=64, optimizer=Adam(rate=rates[0])),
        perturbations=_linf(*measured_eps),
        measured=measured,
    )
    return (
        plain,
        replace(
            plain,
            name=f"{data}-adversarial",
            description=f"{data}: conv net, adversarial training (PGD), eps {eps:.3g}",
            subject="conv net, adversarial",
            objective=Adversarial(perturbation=perturbation, radius=Linear(length=adversarial / 5)),
            training=replace(
                plain.training,
                epochs=adversarial,
                optimizer=Adam(rate=rates[1]),
                rate_schedule=Steps(at=(adversarial * 0.8,)),
            ),
        ),
        replace(
            plain,
            name=f"{data}-certified",
            description=f"{data}: conv net, certified training (CROWN-IBP), eps {eps:.3g}",
            subject="conv net, certified",
            objective=Certified(
                perturbation=perturbation,
                radius=SmoothedRamp(begin=certified * 0.05, length=certified * 0.65),
                kappa_end=0.25,
            ),
            training=replace(
                plain.training,
                epochs=certified,
                optimizer=Adam(rate=rates[2]),
                rate_schedule=Steps(at=(certified * 0.85,)),
                gradient_norm=8.0,
            ),
            interval_start=True,
        ),
    )


_DIGITS = _trio(
    "digits",
    architecture=ConvNet(channels=(16,)),
    eps=0.1,
    measured_eps=(0.05, 0.1, 0.15),
    epochs=(20, 25, 30),
    rates=(2e-3, 2e-3, 5e-3),
)
_MNIST = _trio(
    "mnist10k",
    architecture=ConvNet(channels=(16, 32)),
    eps=0.2,
    measured_eps=(0.1, 0.2, 0.3),
    epochs=(10, 20, 60),
    rates=(1e-3, 1e-3, 2e-3),
    measured=1000,
)
_CIFAR = _trio(
    "cifar10",
    architecture=ConvNet(channels=(32, 64, 128), repeats=1, hidden=256, mean=0.47, deviation=0.25),
    eps=2 / 255,
    measured_eps=(1 / 255, 2 / 255, 8 / 255),
    epochs=(30, 60, 160),
    rates=(1e-3, 1e-3, 5e-4),
    measured=1000,
)


def _by_intervals(
    recipe: Classification,
    *,
    architecture: Architecture,
    eps: float,
    radius: SmoothedRamp,
    kappa_end: float,
    training: Training,
) -> Classification:
    """Give a certified recipe by IBP alone, at a radius a little above the one that it is for.

    Source: Gowal et al. 2018, section 4; Zhang et al. 2020 (CROWN-IBP), appendix, for the larger radius.
    """
    return replace(
        recipe,
        description=f"{recipe.data}: conv net, certified training (IBP), eps {eps:.3g}",
        architecture=architecture,
        objective=Certified(
            perturbation=Linf(eps, clip=(0.0, 1.0)), radius=radius, kappa_end=kappa_end, beta_start=0.0
        ),
        training=replace(training, gradient_norm=8.0),
    )


_MNIST_CERTIFIED = _by_intervals(
    _MNIST[2],
    architecture=ConvNet(channels=(32, 64), hidden=256),
    eps=0.35,
    radius=SmoothedRamp(begin=6.0, length=100.0),
    kappa_end=0.25,
    training=Training(
        epochs=200, batch_size=100, optimizer=Adam(rate=1e-3), rate_schedule=Steps(at=(140.0, 175.0))
    ),
)
_CIFAR_CERTIFIED = _by_intervals(
    _CIFAR[2],
    architecture=ConvNet(channels=(32, 64, 128), hidden=256, mean=0.47, deviation=0.25),
    eps=2.2 / 255,
    radius=SmoothedRamp(begin=1.0, length=16.0),
    kappa_end=0.5,
    training=Training(
        epochs=26, batch_size=128, optimizer=Adam(rate=1e-3), rate_schedule=Steps(at=(20.0, 24.0))
    ),
)
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (*_DIGITS, *_MNIST[:2], _MNIST_CERTIFIED, *_CIFAR[:2], _CIFAR_CERTIFIED)
}
DEMO: tuple[str, ...] = tuple(recipe.name for recipe in _DIGITS)
