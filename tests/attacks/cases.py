"""What is under test in this folder: attacks, threat models, and a small classifier that is trained once."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import L1, L2, Linf
from robustsuite.attacks import (
    DDN,
    FGSM,
    PGD,
    Access,
    Attack,
    BatchCriterion,
    Boundary,
    Confident,
    Divergence,
    HighestLoss,
    InTurn,
    Misclassification,
    RandomSearch,
    Repeated,
    Targeted,
    Transfer,
    losses,
    step_rules,
)
from robustsuite.attacks.keepers import FirstSuccess, Keeper, Nearest
from robustsuite.perturbations import L0, Box, Perturbation

_BOX = Linf(0.2, clip=(0, 1))
_BALL = L2(1.5, clip=(0, 1))

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


@dataclass(frozen=True)
class Case:
    """An attack with what it must achieve.

    Args:
        name: for test ids.
        attack: the attack.
        access: what it asks of a model.
        strength: share of the trained net's right predictions that must fall at Linf 0.2, or L2 1.5 for the nearest.
        targeted_strength: share that must be taken for the next class at twice that radius.
        queries: the least and the most that it spends on an example that stands to the end.
        kind: what it looks for: the first success within a radius, or the nearest.
        threats: the threat models that it takes.
        near: the one of `strength`.
        precision: how far from the optimum it may end on a linear model, relative to the distance.
        random: whether it draws random numbers.
        classes: the fewest that it works with.
        optimal: whether it finds the worst point of a box on a linear model; an honest attack that guesses need not.
    """

    name: str
    attack: Attack
    access: Access
    strength: float
    targeted_strength: float
    queries: range
    kind: type[Keeper] = FirstSuccess
    threats: tuple[Perturbation, ...] = tuple(PERTURBATIONS)
    near: Perturbation = _BOX
    precision: float = 1e-4
    random: bool = True
    classes: int = 2
    optimal: bool = True

    def __str__(self) -> str:
        return self.name


def _exactly(count: int) -> range:
    return range(count, count + 1)


def _radius(name: str, attack: Attack, strength: float, targeted: float, queries: int, **more: Any) -> Case:
    """Give the case of an attack by gradients within a radius."""
    return Case(name, attack, Access.GRADIENTS, strength, targeted, _exactly(queries), **more)


def _nearest(name: str, attack: Attack, access: Access, *threats: Perturbation, **more: Any) -> Case:
    """Give the case of an attack that looks for the nearest success in L2."""
    return Case(name, attack, access, kind=Nearest, threats=threats, near=_BALL, **more)


def _surrogate(x: Tensor) -> Tensor:
    outputs: Tensor = trained()(x.float())  # whatever the attacked model computes in
    return outputs


_FEW = (_BOX, _BALL)
_ENDLESS = L2(math.inf, clip=(0, 1))

ATTACKS = [
    _radius("fgsm", FGSM(), 0.6, 0.1, 2, random=False),
    _radius("fgsm, cross entropy", FGSM(loss=losses.cross_entropy), 0.6, 0.1, 2, random=False),
    _radius("pgd", PGD(steps=10), 0.8, 0.7, 12),
    _radius("pgd, from the clean input", PGD(steps=10, random_start=False), 0.8, 0.7, 11, random=False),
    _radius("pgd, restarts", PGD(steps=5, restarts=3), 0.8, 0.7, 19),
    _radius(
        "pgd, cross entropy, cosine steps",
        PGD(steps=10, step_size=0.5, step_rule=step_rules.cosine, loss=losses.cross_entropy),
        0.8,
        0.7,
        12,
    ),
    _radius("pgd, dlr", PGD(steps=10, loss=losses.difference_of_logits_ratio), 0.8, 0.7, 12, classes=4),
    _radius("one after the other", InTurn((PGD(steps=3), PGD(steps=10))), 0.8, 0.7, 16, threats=_FEW),
    _radius("repeated", Repeated(PGD(steps=5), 3), 0.8, 0.7, 19, threats=_FEW),
    Case(
        "transfer",
        Transfer((_surrogate,), PGD(steps=10)),
        Access.DECISIONS,
        0.8,
        0.7,
        _exactly(2),
        threats=_FEW,
    ),
    Case("random search", RandomSearch(max_queries=60), Access.SCORES, 0.5, 0.1, _exactly(60)),
    Case(
        "random search, probes",
        RandomSearch(max_queries=41, probes=4),
        Access.SCORES,
        0.3,
        0.1,
        _exactly(41),
        threats=_FEW,
    ),
    _nearest(
        "ddn",
        DDN(steps=40),
        Access.GRADIENTS,
        L2(1.0),
        _BALL,
        _ENDLESS,
        strength=0.8,
        targeted_strength=0.7,
        queries=_exactly(41),
        precision=0.01,
        random=False,
    ),
    _nearest(
        "boundary",
        Boundary(max_queries=250),
        Access.DECISIONS,
        _BALL,
        _ENDLESS,
        strength=0.5,
        targeted_strength=0.0,
        queries=range(51, 251),
        precision=0.05,
    ),
]


LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 3.0, 1.0, 0.5], [1.0, 1.5, 4.0, 0.0]])
LABELS = torch.tensor([0, 2, 2])

CRITERIA: list[BatchCriterion] = [
    Misclassification(LABELS),
    Targeted(torch.tensor([1, 1, 2])),
    HighestLoss(LABELS),
    Divergence(LOGITS.flip(1), threshold=0.5),
    Misclassification(LABELS) & Targeted(torch.tensor([1, 1, 2])),
    Confident(Misclassification(LABELS), 1.5),
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
