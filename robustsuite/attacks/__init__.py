"""Attacks: search a region for an input that a model gets wrong."""

from robustsuite.attacks import losses, step_rules
from robustsuite.attacks.criteria import Criterion, Misclassification, Targeted
from robustsuite.attacks.driver import Attack, AttackResult
from robustsuite.attacks.fgsm import FGSM
from robustsuite.attacks.pgd import PGD

__all__ = [
    "FGSM",
    "PGD",
    "Attack",
    "AttackResult",
    "Criterion",
    "Misclassification",
    "Targeted",
    "losses",
    "step_rules",
]
