"""Attack, train, certify and report robustness of RL agents, language models and vision models."""

from robustsuite import attacks, bounds
from robustsuite.errors import RobustsuiteError
from robustsuite.perturbation import L1, L2, Box, Linf

__all__ = ["L1", "L2", "Box", "Linf", "RobustsuiteError", "attacks", "bounds"]
__version__ = "0.1.0"
