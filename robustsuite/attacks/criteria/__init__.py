"""What attacks seek, one file for each kind of criterion."""

from robustsuite.attacks.criteria.criterion import (
    BatchCriterion,
    Both,
    Criterion,
    check_criterion,
    check_loss,
    check_outputs,
)
from robustsuite.attacks.criteria.divergence import Divergence
from robustsuite.attacks.criteria.labels import HighestLoss, Misclassification, Targeted, sought
from robustsuite.attacks.criteria.wrapped import Confident, Steered

__all__ = [
    "BatchCriterion",
    "Both",
    "Confident",
    "Criterion",
    "Divergence",
    "HighestLoss",
    "Misclassification",
    "Steered",
    "Targeted",
    "check_criterion",
    "check_loss",
    "check_outputs",
    "sought",
]
