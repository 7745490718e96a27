"""Everything that is trained with: add an objective or a schedule here, and the property tests cover it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robustsuite import Linf, bounds, training
from robustsuite.training import Objective, Schedule, seeded

OBJECTIVES: dict[str, tuple[Objective, Objective]] = {
    # name: (as it trains the toy problem, the same at radius 0: must equal cross entropy)
    "Standard": (training.Standard(), training.Standard()),
    "Adversarial": (
        training.Adversarial(perturbation=Linf(0.1), radius=training.Linear(length=2.0)),
        training.Adversarial(perturbation=Linf(0.0)),
    ),
    "Certified": (
        training.Certified(
            perturbation=Linf(0.1),
            radius=training.SmoothedRamp(begin=1.0, length=6.0),
            kappa_end=0.5,
            beta_end=0.5,
        ),
        training.Certified(perturbation=Linf(0.0)),
    ),
    "Certified, fused": (
        training.Certified(
            perturbation=Linf(0.1),
            radius=training.SmoothedRamp(begin=1.0, length=6.0),
            beta_end=1.0,
            bound=bounds.fused_cross_entropy,
        ),
        training.Certified(perturbation=Linf(0.0), bound=bounds.fused_cross_entropy),
    ),
}

SCHEDULES: dict[str, Schedule] = {
    "Constant": training.Constant(0.5),
    "Linear": training.Linear(begin=2.0, length=5.0),
    "SmoothedRamp": training.SmoothedRamp(begin=2.0, length=8.0),
    "Steps": training.Steps(at=(3.0, 6.0)),
    "Cosine": training.Cosine(length=10.0),
}


def toy_data(n: int = 240) -> tuple[Tensor, Tensor]:
    """Give points of the plane in three classes, wide apart but for a band of 0.6."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n) % 3
    centers = torch.tensor([[0.0, 1.0], [1.0, -0.8], [-1.0, -0.8]])
    x = centers[y] + 0.8 * (torch.rand(n, 2, generator=generator) - 0.5)
    return x, y


def toy_model() -> nn.Module:
    """Give a small network for it, the same each time."""
    return seeded(lambda: nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 3)), 0)
