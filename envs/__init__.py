"""State-adversarial reinforcement learning on gymnasium and stable-baselines3."""

from typing import TYPE_CHECKING

from robustsuite import lazily

from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from . import scale
    from .learning import QLearning
    from .q_agent import QAgent
    from .regularizers import ConvexRegularizer, PGDRegularizer
    from .robustness import Robustness
    from .sa_dqn import SADQN
    from .validation import Validation

__all__ = [
    "DEMO",
    "RECIPES",
    "SADQN",
    "ConvexRegularizer",
    "PGDRegularizer",
    "QAgent",
    "QLearning",
    "Robustness",
    "Validation",
    "scale",
]

__getattr__ = lazily.names(
    __name__,
    learning="QLearning",
    q_agent="QAgent",
    regularizers="ConvexRegularizer PGDRegularizer",
    robustness="Robustness",
    sa_dqn="SADQN",
    scale="",
    validation="Validation",
)
