"""Everything that is trained with: add an objective, an update or a schedule here, and the property tests cover it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import Linf, attacks, bounds, training
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.runs.run import Run
from robustsuite.training import Batch, Descent, Objective, Schedule, TensorData, Update, fit, seeded
from tests.training import toys


@dataclass(frozen=True, kw_only=True)
class Case:
    """An objective, and what it claims of itself.

    Args:
        objective: as it trains the toy problem, at the full radius from epoch 10 on.
        at_zero: the same at radius 0.
        plain: what its loss is then, of (logits, labels).
        random: whether its loss draws random numbers.
        worst_case: whether its loss is that of the worst inputs in a region (or a bound of it).
        stateful: whether it remembers something from step to step.
    """

    objective: Objective
    at_zero: Objective
    plain: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy
    random: bool = False
    worst_case: bool = True
    stateful: bool = False


OBJECTIVES: dict[str, Case] = {
    "Standard": Case(objective=training.Standard(), at_zero=training.Standard(), worst_case=False),
    "Adversarial": Case(
        objective=training.Adversarial(perturbation=Linf(0.4), radius=training.Linear(length=2.0)),
        at_zero=training.Adversarial(perturbation=Linf(0.0)),
        random=True,
    ),
    "TRADES": Case(
        objective=training.TRADES(perturbation=Linf(0.4), radius=training.Linear(length=2.0), beta=3.0),
        at_zero=training.TRADES(perturbation=Linf(0.0)),
        random=True,
    ),
    "CAT": Case(
        objective=training.CAT(perturbation=Linf(0.4), eta=0.2, c=0.5),
        at_zero=training.CAT(perturbation=Linf(0.0)),
        random=True,
        stateful=True,
    ),
    "CAT, mixed": Case(
        objective=training.CAT(perturbation=Linf(0.4), eta=0.2, c=0.5, kappa=1.0, decrease=True),
        at_zero=training.CAT(perturbation=Linf(0.0), kappa=1.0),
        plain=lambda logits, y: (
            functional.cross_entropy(logits, y) + attacks.losses.margin(logits, y).clamp(min=-1).mean()
        ),
        random=True,
        stateful=True,
    ),
    "Certified": Case(
        objective=training.Certified(
            perturbation=Linf(0.4),
            radius=training.SmoothedRamp(begin=1.0, length=6.0),
            beta=training.Linear(start=1.0, end=0.5, length=1.0),
        ),
        at_zero=training.Certified(perturbation=Linf(0.0)),
    ),
    "Certified, fused": Case(
        objective=training.Certified(
            perturbation=Linf(0.4),
            radius=training.SmoothedRamp(begin=1.0, length=6.0),
            beta=training.Constant(1.0),
            bound=bounds.fused_cross_entropy,
        ),
        at_zero=training.Certified(perturbation=Linf(0.0), bound=bounds.fused_cross_entropy),
    ),
}

_DESCENT = Descent(training.Adversarial(perturbation=Linf(0.1)), optimizer=training.Adam(rate=0.02))

UPDATES: dict[str, Update] = {
    "Descent": _DESCENT,
    "Descent, in parts": Descent(training.Standard(), optimizer=training.SGD(rate=0.05), accumulate=3),
    "AWP": training.AWP(_DESCENT, gamma=0.01),
    "Averaged": training.Averaged(_DESCENT, decay=0.9),
    "AWP of an average": training.AWP(training.Averaged(_DESCENT, begin=1.0), gamma=0.01),
}

TOY_UPDATES: dict[str, Update] = {
    # Not of the suite: the form carries them as it is.
    "free": toys.Replayed(Descent(toys.Free(eps=0.1), optimizer=training.SGD(rate=0.05)), times=3),
    "label ascent": toys.LabelAscent(toys.LearnedLabels(), times=2),
    "bilevel": toys.Bilevel(weights=training.Standard(), strengths=training.Standard()),
    "look ahead": Descent(toys.LookAhead(), optimizer=training.SGD(rate=0.05)),
}

SCHEDULES: dict[str, Schedule] = {
    "Constant": training.Constant(0.5),
    "Linear": training.Linear(begin=2.0, length=5.0),
    "SmoothedRamp": training.SmoothedRamp(begin=2.0, length=8.0),
    "Steps": training.Steps(at=(3.0, 6.0)),
    "Cosine": training.Cosine(length=10.0),
}


class Killed(Exception):
    """Stands for the death of a process in the middle of a training."""


def toy_training(
    update: Update,
    run: Run,
    *,
    model: nn.Module | None = None,
    seed: int = 1,
    epochs: int = 2,
    killed: bool = False,
) -> nn.Module:
    """Train the toy network, with batch norm, for two epochs; or be killed after the first."""
    if model is None:
        model = seeded(
            lambda: nn.Sequential(nn.Linear(2, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 3)), 0
        )

    def validate(model: nn.Module) -> float:
        if killed:
            raise Killed
        return 0.0

    setup = training.Training(epochs=epochs, batch_size=50, checkpoint_steps=3, keep_best_from=100.0)
    return fit(model, update, toy_data(), training=setup, run=run, seed=seed, validate=validate)


def resumes_to_the_bit(update: Update, folder: Path) -> Checkpoint:
    """Check that a training killed between two checkpoints ends as one that was not; give its last checkpoint."""
    toy_training(update, Run.scratch(folder / "whole"))
    with pytest.raises(Killed):
        toy_training(update, Run.scratch(folder / "broken"), killed=True)
    toy_training(update, Run.scratch(folder / "broken", resume=True))
    whole, broken = (
        checkpoints.load(folder / run / "checkpoints" / "training.safetensors") for run in ("whole", "broken")
    )
    assert whole.state == broken.state
    assert set(whole.tensors) == set(broken.tensors)
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, broken.tensors[name]), name
    return whole


def toy_points(n: int = 240, *, idle: int = 0) -> tuple[Tensor, Tensor]:
    """Give points of the plane in three classes, wide apart but for a band of 0.6; and features that say nothing."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    centers = torch.tensor([[0.0, 1.0], [1.0, -0.8], [-1.0, -0.8]])
    x = centers[y] + 0.8 * (torch.rand(n, 2, generator=generator) - 0.5)
    return functional.pad(x, (0, idle)), y


def toy_data(n: int = 240) -> TensorData:
    """Give them as data to train on."""
    return TensorData(*toy_points(n))


def toy_batch(n: int = 240, *, idle: int = 0) -> Batch:
    """Give them as one batch."""
    x, y = toy_points(n, idle=idle)
    return Batch(x=x, y=y, index=torch.arange(n))


def toy_model(*, idle: int = 0) -> nn.Module:
    """Give a small network for it, the same each time."""
    return seeded(lambda: nn.Sequential(nn.Linear(2 + idle, 24), nn.ReLU(), nn.Linear(24, 3)), 0)
