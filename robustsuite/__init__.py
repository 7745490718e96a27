"""Attack, train, certify and report robustness of RL agents, language models and vision models."""

from robustsuite import attacks, bounds
from robustsuite.errors import RobustsuiteError
from robustsuite.perturbation import L1, L2, Box, Linf
from robustsuite.sparse import L0
from robustsuite.substitutions import Substitutions

__all__ = ["L0", "L1", "L2", "Box", "Linf", "RobustsuiteError", "Substitutions", "attacks", "bounds"]
__version__ = "0.1.0"
