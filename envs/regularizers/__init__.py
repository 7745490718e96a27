"""Regularisers of robust reinforcement learning: what may move (`quantities`), and who solves for the worst (`solvers`)."""

from .quantities import (
    ActionShift,
    BellmanError,
    GaussianShift,
    Margin,
    Quantity,
    RadialOverlap,
    WorstSurrogate,
)
from .solvers import ConvexRegularizer, PGDRegularizer, Regularizer, SGLDRegularizer

__all__ = [
    "ActionShift",
    "BellmanError",
    "ConvexRegularizer",
    "GaussianShift",
    "Margin",
    "PGDRegularizer",
    "Quantity",
    "RadialOverlap",
    "Regularizer",
    "SGLDRegularizer",
    "WorstSurrogate",
]
