"""Threat models: what an adversary may do to an input.

A `Perturbation` is a frozen, hashable description (``Linf(8/255, clip=(0, 1))``). Its `around` binds it to a batch and
gives a `Region`: the set of allowed inputs for each example. Attacks, bounds and RL adversaries all take these two.
"""

from robustsuite.perturbations.ball import Ball
from robustsuite.perturbations.box import Box, BoxRegion
from robustsuite.perturbations.lp import L1, L2, Linf
from robustsuite.perturbations.perturbation import Perturbation
from robustsuite.perturbations.region import Region, Take
from robustsuite.perturbations.scaled import Scaled
from robustsuite.perturbations.sparse import L0, SparseRegion
from robustsuite.perturbations.substitutions import SubstitutionRegion, Substitutions

__all__ = [
    "L0",
    "L1",
    "L2",
    "Ball",
    "Box",
    "BoxRegion",
    "Linf",
    "Perturbation",
    "Region",
    "Scaled",
    "SparseRegion",
    "SubstitutionRegion",
    "Substitutions",
    "Take",
]
