"""State-adversarial reinforcement learning on gymnasium and stable-baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustsuite import lazily

from . import commands
from .recipes import DEMO, RECIPES

if TYPE_CHECKING:
    from robustsuite.recipes import Recipe
    from robustsuite.report.figures import Figure
    from robustsuite.runs.records import Record

    from .algorithms.sa_dqn import SADQN
    from .recipes.q_agent import QAgent
    from .regularizers import ConvexRegularizer, PGDRegularizer, SGLDRegularizer
    from .threat import scale
    from .training.learning import QLearning
    from .training.robustness import Robustness
    from .training.validation import Validation


def _evaluation_of(path: Path) -> Recipe | None:
    from .recipes.measured_agent import evaluation_of

    return evaluation_of(path)


def _figures(records: Sequence[Record]) -> list[Figure]:
    from .evaluation.figures import over_trainings, profiles
    from .evaluation.tables import matrix_figures

    return [*matrix_figures(records), *over_trainings(records), *profiles(records)]


COMMANDS = {"matrix": commands.matrix, "video": commands.video}
EVALUATIONS = (_evaluation_of,)
FIGURES = (_figures,)

__all__ = [
    "COMMANDS",
    "DEMO",
    "EVALUATIONS",
    "FIGURES",
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
