"""Attack, train, certify and report robustness of RL agents, language models and vision models."""

from typing import TYPE_CHECKING

from robustsuite import lazily

if TYPE_CHECKING:
    from robustsuite import attacks, bounds, evaluation, training
    from robustsuite.errors import RobustsuiteError
    from robustsuite.perturbations import L0, L1, L2, Box, Linf, Scaled, Substitutions

__all__ = [
    "L0",
    "L1",
    "L2",
    "Box",
    "Linf",
    "RobustsuiteError",
    "Scaled",
    "Substitutions",
    "attacks",
    "bounds",
    "evaluation",
    "training",
]
__version__ = "0.1.0"

# Torch takes a second to import: the command line answers Ctrl-C, and shows its help and its list, before it.
__getattr__ = lazily.names(
    __name__,
    perturbations="L0 L1 L2 Box Linf Scaled Substitutions",
    errors="RobustsuiteError",
    attacks="",
    bounds="",
    evaluation="",
    training="",
)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
