"""What is under test in this folder: attacks, threat models, and a small classifier that is trained once."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import L1, L2, Linf
from robustsuite.attacks import FGSM, PGD, Attack, losses, step_rules
from robustsuite.perturbations import L0, Box, Perturbation


@dataclass(frozen=True)
class Case:
    """An attack with what it must achieve.

    Args:
        name: for test ids.
        attack: the attack.
        strength: share of the trained net's right predictions that must fall at Linf 0.2.
        targeted_strength: share that must be taken for the next class at Linf 0.4.
        queries: the least and the most that it spends on an example that stands to the end.
        random: whether it draws random numbers.
        classes: the fewest that it works with.
    """

    name: str
    attack: Attack
    strength: float
    targeted_strength: float
    queries: range
    random: bool = True
    classes: int = 2

    def __str__(self) -> str:
        return self.name


def _exactly(count: int) -> range:
    return range(count, count + 1)


ATTACKS = [
    Case("fgsm", FGSM(), 0.6, 0.1, _exactly(2), random=False),
    Case("fgsm, cross entropy", FGSM(loss=losses.cross_entropy), 0.6, 0.1, _exactly(2), random=False),
    Case("pgd", PGD(steps=10), 0.8, 0.7, _exactly(12)),
    Case(
        "pgd, from the clean input", PGD(steps=10, random_start=False), 0.8, 0.7, _exactly(11), random=False
    ),
    Case("pgd, restarts", PGD(steps=5, restarts=3), 0.8, 0.7, _exactly(19)),
    Case(
        "pgd, cross entropy, cosine steps",
        PGD(steps=10, step_size=0.5, step_rule=step_rules.cosine, loss=losses.cross_entropy),
        0.8,
        0.7,
        _exactly(12),
    ),
    Case(
        "pgd, dlr", PGD(steps=10, loss=losses.difference_of_logits_ratio), 0.8, 0.7, _exactly(12), classes=4
    ),
]

PERTURBATIONS: list[Perturbation] = [
    Linf(0.1),
    Linf(0.2, clip=(0, 1)),
    L2(1.0),
    L2(1.0, clip=(0, 1)),
    L1(4.0),
    L1(4.0, clip=(0, 1)),
    Linf(tuple(i / 320 for i in range(64))),
    Box(0.1, 0.9),
    L0(4, 0, 1),
]


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Give scikit-learn's digits in [0, 1], shape (1797, 64), and their labels."""
    data = load_digits()
    return torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)


@functools.cache
def trained() -> nn.Module:
    """Train a small net on the digits, always the same; tests must leave it as it is."""
    x, y = digits()
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.BatchNorm1d(64), nn.Linear(64, 10))
        optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(60):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[:1200]), y[:1200]).backward()
            optimiser.step()
    return model.eval()


def examples(count: int = 24) -> tuple[Tensor, Tensor]:
    """Give test digits that the net gets right."""
    x, y = digits()
    x, y = x[1200:], y[1200:]
    with torch.no_grad():
        right = trained()(x).argmax(1) == y
    return x[right][:count], y[right][:count]
