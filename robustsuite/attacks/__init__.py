"""Attacks: search a region for an input that a model gets wrong, or that meets another criterion."""

from robustsuite.attacks import losses, step_rules
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.boundary import Boundary
from robustsuite.attacks.composition import InTurn, Repeated, Transfer
from robustsuite.attacks.criteria import (
    BatchCriterion,
    Both,
    Confident,
    Criterion,
    Divergence,
    HighestLoss,
    Misclassification,
    Targeted,
)
from robustsuite.attacks.curves import Curve, curve
from robustsuite.attacks.ddn import DDN
from robustsuite.attacks.fgsm import FGSM
from robustsuite.attacks.models import estimator, labels_only
from robustsuite.attacks.pgd import PGD
from robustsuite.attacks.random_search import RandomSearch
from robustsuite.attacks.result import AttackResult, Trace
from robustsuite.attacks.search import Search

__all__ = [
    "DDN",
    "FGSM",
    "PGD",
    "Access",
    "Attack",
    "AttackResult",
    "BatchCriterion",
    "Both",
    "Boundary",
    "Confident",
    "Criterion",
    "Curve",
    "Divergence",
    "HighestLoss",
    "InTurn",
    "Misclassification",
    "RandomSearch",
    "Repeated",
    "Search",
    "Targeted",
    "Trace",
    "Transfer",
    "curve",
    "estimator",
    "labels_only",
    "losses",
    "step_rules",
]
