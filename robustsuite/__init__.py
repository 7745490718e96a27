"""Attack, train, certify and report robustness of RL agents, language models and vision models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustsuite import attacks, bounds
    from robustsuite.errors import RobustsuiteError
    from robustsuite.perturbations import L0, L1, L2, Box, Linf, Substitutions

__all__ = ["L0", "L1", "L2", "Box", "Linf", "RobustsuiteError", "Substitutions", "attacks", "bounds"]
__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(("L0", "L1", "L2", "Box", "Linf", "Substitutions"), "robustsuite.perturbations"),
    "RobustsuiteError": "robustsuite.errors",
}


def __getattr__(name: str) -> Any:
    # Torch takes a second to import: the command line answers Ctrl-C, and shows its help, before it.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("attacks", "bounds"):
        return importlib.import_module(f"robustsuite.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
