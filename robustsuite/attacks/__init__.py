"""Attacks: search a region for an input that a model gets wrong, or that meets another criterion."""

from robustsuite.attacks import losses, step_rules
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.criteria import Both, Criterion, Divergence, HighestLoss, Misclassification, Targeted
from robustsuite.attacks.fgsm import FGSM
from robustsuite.attacks.pgd import PGD
from robustsuite.attacks.result import AttackResult, Trace
from robustsuite.attacks.search import Search

__all__ = [
    "FGSM",
    "PGD",
    "Access",
    "Attack",
    "AttackResult",
    "Both",
    "Criterion",
    "Divergence",
    "HighestLoss",
    "Misclassification",
    "Search",
    "Targeted",
    "Trace",
    "losses",
    "step_rules",
]
