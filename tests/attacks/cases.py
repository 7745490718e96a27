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
        queries: the most it may spend on one example.
        random: whether it draws random numbers.
    """

    name: str
    attack: Attack
    strength: float
    queries: int
    random: bool = True

    def __str__(self) -> str:
        return self.name


ATTACKS = [
    Case("fgsm", FGSM(), strength=0.6, queries=2, random=False),
    Case("fgsm, margin", FGSM(loss=losses.margin), strength=0.6, queries=2, random=False),
    Case("pgd", PGD(steps=10), strength=0.8, queries=12),
    Case("pgd, from the clean input", PGD(steps=10, random_start=False), 0.8, 12, random=False),
    Case("pgd, restarts", PGD(steps=5, restarts=3), strength=0.8, queries=19),
    Case(
        "pgd, margin, cosine steps",
        PGD(steps=10, step_size=0.5, step_rule=step_rules.cosine, loss=losses.margin),
        strength=0.8,
        queries=12,
    ),
    Case("pgd, dlr", PGD(steps=10, loss=losses.difference_of_logits_ratio), strength=0.8, queries=12),
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
