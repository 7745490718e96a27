"""State-adversarial reinforcement learning on gymnasium and stable-baselines3."""

from typing import TYPE_CHECKING

from robustsuite import lazily

from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from .algorithms.sa_dqn import SADQN
    from .recipes.q_agent import QAgent
    from .regularizers import ConvexRegularizer, PGDRegularizer, SGLDRegularizer
    from .threat import scale
    from .training.learning import QLearning
    from .training.robustness import Robustness
    from .training.validation import Validation

__all__ = [
    "DEMO",
    "RECIPES",
    "SADQN",
    "ConvexRegularizer",
    "PGDRegularizer",
    "QAgent",
    "QLearning",
    "Robustness",
    "SGLDRegularizer",
    "Validation",
    "scale",
]

__getattr__ = lazily.names(
    __name__,
    **{
        "algorithms.sa_dqn": "SADQN",
        "recipes.q_agent": "QAgent",
        "regularizers": "ConvexRegularizer PGDRegularizer SGLDRegularizer",
        "threat.scale": "",
        "training.learning": "QLearning",
        "training.robustness": "Robustness",
        "training.validation": "Validation",
    },
)
