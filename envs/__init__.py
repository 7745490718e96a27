"""State-adversarial reinforcement learning on gymnasium and stable-baselines3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from .robustness import Robustness
    from .sa_dqn import SADQN

__all__ = ["DEMO", "RECIPES", "SADQN", "Robustness"]


def __getattr__(name: str) -> Any:
    # stable-baselines3 takes seconds to import: only who asks for an algorithm pays for it.
    if name == "SADQN":
        from .sa_dqn import SADQN

        return SADQN
    if name == "Robustness":
        from .robustness import Robustness

        return Robustness
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
