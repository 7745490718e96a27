"""Step rules: the factor on the step size at a given fraction (0 at the first step, 1 after the last)."""

from __future__ import annotations

import math
from collections.abc import Callable

StepRule = Callable[[float], float]


def constant(fraction: float) -> float:
    """Keep the step size. Source: Madry et al. 2018."""
    return 1.0


def linear(fraction: float) -> float:
    """Let the step size fall to zero in a straight line."""
    return 1.0 - fraction


def cosine(fraction: float) -> float:
    """Let the step size fall to zero along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * fraction))
