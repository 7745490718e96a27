"""State-adversarial reinforcement learning on gymnasium and stable-baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustsuite import lazily

from . import commands, registration
from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from robustsuite.recipes import Recipe
    from robustsuite.report.figures import Figure
    from robustsuite.runs.records import Record

    from .algorithms.car_dqn import CARDQN
    from .algorithms.exploration import GaussianNoise, OrnsteinUhlenbeckNoise
    from .algorithms.radial_dqn import RADIALDQN
    from .algorithms.radial_ppo import RADIALPPO
    from .algorithms.sa_ddpg import SADDPG
    from .algorithms.sa_dqn import SADQN
    from .algorithms.sa_ppo import SAPPO
    from .algorithms.sa_td3 import SATD3
    from .recipes.continuous_agent import ContinuousAgent
    from .recipes.q_agent import QAgent
    from .regularizers import ConvexRegularizer, PGDRegularizer, SGLDRegularizer
    from .threat import scale
    from .training.learning import CARLearning, QLearning, RADIALLearning
    from .training.ppo_learning import PPOLearning, RADIALPPOLearning
    from .training.replay import Prioritized
    from .training.robustness import Robustness
    from .training.td3_learning import DDPGLearning, TD3Learning
    from .training.validation import Validation


def _evaluation_of(path: Path) -> Recipe | None:
    from .recipes.measured_agent import evaluation_of

    return evaluation_of(path)


def _figures(records: Sequence[Record]) -> list[Figure]:
    from .evaluation.figures import over_trainings, profiles
    from .evaluation.tables import matrix_figures

    return [*matrix_figures(records), *over_trainings(records), *profiles(records)]


registration.register()

COMMANDS = {"matrix": commands.matrix, "video": commands.video}
EVALUATIONS = (_evaluation_of,)
FIGURES = (_figures,)

__all__ = [
    "CARDQN",
    "COMMANDS",
    "DEMO",
    "EVALUATIONS",
    "FIGURES",
    "RADIALDQN",
    "RADIALPPO",
    "RECIPES",
    "SADDPG",
    "SADQN",
    "SAPPO",
    "SATD3",
    "CARLearning",
    "ContinuousAgent",
    "ConvexRegularizer",
    "DDPGLearning",
    "GaussianNoise",
    "OrnsteinUhlenbeckNoise",
    "PGDRegularizer",
    "PPOLearning",
    "Prioritized",
    "QAgent",
    "QLearning",
    "RADIALLearning",
    "RADIALPPOLearning",
    "Robustness",
    "SGLDRegularizer",
    "TD3Learning",
    "Validation",
    "scale",
]

__getattr__ = lazily.names(
    __name__,
    **{
        "algorithms.car_dqn": "CARDQN",
        "algorithms.radial_dqn": "RADIALDQN",
        "algorithms.exploration": "GaussianNoise OrnsteinUhlenbeckNoise",
        "algorithms.radial_ppo": "RADIALPPO",
        "algorithms.sa_ddpg": "SADDPG",
        "algorithms.sa_dqn": "SADQN",
        "algorithms.sa_ppo": "SAPPO",
        "algorithms.sa_td3": "SATD3",
        "recipes.continuous_agent": "ContinuousAgent",
        "recipes.q_agent": "QAgent",
        "regularizers": "ConvexRegularizer PGDRegularizer SGLDRegularizer",
        "threat.scale": "",
        "training.learning": "CARLearning QLearning RADIALLearning",
        "training.replay": "Prioritized",
        "training.ppo_learning": "PPOLearning RADIALPPOLearning",
        "training.td3_learning": "DDPGLearning TD3Learning",
        "training.robustness": "Robustness",
        "training.validation": "Validation",
    },
)
