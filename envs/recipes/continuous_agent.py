"""The recipe of an agent with continuous actions: train it, plain or robust, and measure the last agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from robustsuite.arguments import check_fields, check_kind, check_numbers
from robustsuite.recipes import Recipe
from robustsuite.runs import checkpoints
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run

from ..training.ppo_learning import PPOLearning
from ..training.robustness import Robustness

if TYPE_CHECKING:
    from ..evaluation.evaluate import AgentEvaluation

_STATE = "state.safetensors"
_AGENT = "agent.safetensors"
_LOG_EVERY = 2000


@dataclass(frozen=True, kw_only=True)
class ContinuousAgent(Recipe):
    """Train on one environment and measure the agent that the training ends with; nothing is chosen by an attack.

    Args:
        env: gymnasium id.
        subject: name of the agent in tables.
        learning: hyper-parameters.
        robustness: what is added; kappa 0 is the plain algorithm.
        eps: radii of the curve, > 0, in the units of the agent's ball.
        episodes: per attack and eps, >= 1.
        save_every: seconds between checkpoints, >= 0.
    """

    domain: ClassVar[str] = "envs"

    env: str
    subject: str
    learning: PPOLearning = field(default_factory=PPOLearning)
    robustness: Robustness = field(default_factory=Robustness)
    eps: tuple[float, ...]
    episodes: int = 20
    save_every: float = 120.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, "episodes", integer=True, least=1)
        check_fields(self, "save_every", least=0)
        check_numbers("eps", self.eps, above=0)
        check_kind(self.learning, PPOLearning, "learning", "a PPOLearning(...)")
        check_kind(self.robustness, Robustness, "robustness", "a Robustness(...)")

    def train(self, run: Run) -> None:
        """Train; write the run's state at intervals and the agent at the end."""
        from .. import threads
        from ..policies import agent as agents
        from ..policies import sb3
        from ..training import resume
        from ..training.watch import Watch

        final = run.checkpoints / _AGENT
        if run.resume and final.exists():
            return
        steps = self.learning.timesteps
        with threads.one_thread(), run.progress(f"training {self.subject}", total=steps) as progress:
            model = self.learning.build(
                self.env, robustness=self.robustness, seed=self.seed, device=self.device
            )
            state = run.checkpoints / _STATE
            if run.resume and state.exists():
                resume.restore(model, checkpoints.load(state))
            watch = Watch(
                path=state,
                seconds=self.save_every,
                log_every=_LOG_EVERY,
                run=run,
                progress=progress,
            )
            if model.num_timesteps < steps:
                model.learn(
                    steps - model.num_timesteps,
                    callback=watch,
                    log_interval=None,
                    reset_num_timesteps=model.num_timesteps == 0,
                )
            eps = self.robustness.perturbation.radius if self.robustness.kappa > 0 else None
            agents.save(sb3.convert(model, self.env, eps=eps), final)

    def evaluate(self, run: Run) -> list[Record]:
        """Measure the trained agent over the curve of eps."""
        from ..evaluation import evaluate as evaluation
        from ..policies import agent as agents

        agent = agents.load(run.checkpoints / _AGENT, device=self.device)
        with run.progress(f"evaluating {self.subject}", total=1):
            return evaluation.evaluate(
                agent, self.evaluation(), subject=self.subject, seed=self.seed, recipe=self.name
            )

    def evaluation(self) -> AgentEvaluation:
        """Give what is measured."""
        from ..attacks import RandomNoise
        from ..evaluation.evaluate import AgentEvaluation

        return AgentEvaluation(episodes=self.episodes, eps=self.eps, adversaries=(RandomNoise(),))
