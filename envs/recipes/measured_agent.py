"""The measurement of an agent that is there already: of a run, in a file, or published by others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from robustsuite.arguments import check_fields, check_kind, check_numbers
from robustsuite.recipes import Recipe
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run, read_recipe

if TYPE_CHECKING:
    from ..policies import Agent

EPISODES = "episodes.parquet"


@dataclass(frozen=True, kw_only=True)
class MeasuredAgent(Recipe):
    """Play an agent under attacks that are named. See `evaluation.evaluate`.

    Args:
        agent: a run's folder, a file of `agent.save`, or a published agent's two files without their suffix.
        env: gymnasium id; None: the agent's own (MuJoCo's older versions become version 5).
        attacks: names with commas between them: none, all, random, pgd, mad ...
        eps: radii in the agent's units, > 0; none: the radius that the agent is for.
        episodes: per attack and eps, >= 1, from the reset seed `seed` on.
    """

    domain: ClassVar[str] = "envs"

    agent: Annotated[str, tyro.conf.Suppress] = ""
    env: str | None = None
    attacks: tuple[str, ...] = ("all",)
    eps: tuple[float, ...] = ()
    episodes: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_kind(self.agent, str, "agent", "a path")
        check_fields(self, "episodes", integer=True, least=1)
        if self.eps:
            check_numbers("eps", self.eps, above=0)
        names = tuple(part.strip() for name in self.attacks for part in name.split(",") if part.strip())
        object.__setattr__(self, "attacks", names)

    def train(self, run: Run) -> None:
        """Nothing is trained: the agent is there."""

    def evaluate(self, run: Run) -> list[Record]:
        """Measure the agent."""
        from robustsuite.errors import InvalidInput

        from ..attacks.names import named
        from ..evaluation.evaluate import AgentEvaluation, evaluate

        agent = self.load()
        adversaries = named(self.attacks, agent.policy)
        radii = self.eps or ((agent.eps,) if agent.eps else ())
        if adversaries and not radii:
            raise InvalidInput(f"the agent at '{self.agent}' has no radius of its own; give some: --eps 0.1")
        measured = AgentEvaluation(
            episodes=self.episodes, eps=radii, adversaries=adversaries, first=self.seed
        )
        subject, trained = self._origin()
        with run.progress(f"evaluating {subject}", total=1):
            return evaluate(
                agent,
                measured,
                subject=subject,
                seed=trained,
                recipe=self.name,
                episodes=run.path / EPISODES,
            )

    def _origin(self) -> tuple[str, int]:
        """Give the subject and the seed of the training, where the agent is that of a run."""
        path = Path(self.agent)
        if not (path / "recipe.json").is_file():
            return path.stem, self.seed
        about = json.loads(read_recipe(path / "recipe.json"))
        return str(about.get("subject", path.name)), int(about.get("seed", self.seed))

    def load(self) -> Agent:
        """Read the agent.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        from dataclasses import replace

        from ..policies import agent as agents
        from ..policies import published

        path = Path(self.agent)
        if published.is_published(path):
            return published.load(path, env=self.env, device=self.device)
        file = path / "checkpoints" / "agent.safetensors" if path.is_dir() else path
        found = agents.load(file, device=self.device)
        return found if self.env is None else replace(found, env=self.env)


def evaluation_of(path: Path) -> MeasuredAgent | None:
    """Give the measurement of what stands at a path, or None where it is no agent."""
    from ..policies import published

    is_run = (path / "checkpoints" / "agent.safetensors").is_file()
    is_file = path.suffix == ".safetensors" and path.is_file()
    if not (is_run or is_file or published.is_published(path)):
        return None
    return MeasuredAgent(agent=str(path))
