"""The recipe of an agent with continuous actions: train it, plain or robust, and measure the last agent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from robustsuite.arguments import check_fields, check_flags, check_kind, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf
from robustsuite.recipes import Recipe
from robustsuite.runs import checkpoints
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run

from ..threat import scale
from ..training.ppo_learning import PPOLearning, RADIALPPOLearning
from ..training.robustness import Robustness
from ..training.td3_learning import DDPGLearning, TD3Learning

if TYPE_CHECKING:
    from ..evaluation.evaluate import AgentEvaluation

_STATE = "state.safetensors"
_AGENT = "agent.safetensors"
_UNITS = "deviations.safetensors"
_LOG_EVERY = 2000

Learning = PPOLearning | RADIALPPOLearning | TD3Learning | DDPGLearning


@dataclass(frozen=True, kw_only=True)
class ContinuousAgent(Recipe):
    """Train on one environment and measure the agent that the training ends with; nothing is chosen by an attack.

    Args:
        env: gymnasium id.
        subject: name of the agent in tables.
        learning: hyper-parameters.
        robustness: what is added; kappa 0 is the plain algorithm. Its perturbation is an l-infinity ball whose radius
            counts as `eps` does.
        deviations: of each coordinate of the state, in which radii count; None: see `measured`.
        measured: whether the deviations are measured on the states in the replay buffer, once, when the ramp begins. Agents of
            the same seed, hyper-parameters and ramp measure the same ones, robust or not. Else radii count in units of the
            states themselves, such as PPO's normalised ones.
        eps: radii of the curve, > 0, in the units of the agent's ball.
        episodes: per attack and eps, >= 1.
        save_every: seconds between checkpoints, >= 0.

    Raises:
        InvalidInput: units given twice or measured without a replay buffer, a ramp that begins before anything is learned,
            or a number outside its range.
    """

    domain: ClassVar[str] = "envs"

    env: str
    subject: str
    learning: Learning = field(default_factory=PPOLearning)
    robustness: Robustness = field(default_factory=Robustness)
    deviations: tuple[float, ...] | None = None
    measured: bool = False
    eps: tuple[float, ...]
    episodes: int = 20
    save_every: float = 120.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, "episodes", integer=True, least=1)
        check_fields(self, "save_every", least=0)
        check_numbers("eps", self.eps, above=0)
        kinds = (PPOLearning, TD3Learning, DDPGLearning)
        check_kind(
            self.learning, kinds, "learning", "a PPOLearning(...), TD3Learning(...) or DDPGLearning(...)"
        )
        check_kind(self.robustness, Robustness, "robustness", "a Robustness(...)")
        check_flags(self, "measured")
        check_kind(
            self.robustness.perturbation, Linf, "perturbation of a recipe", "Linf(eps), in the units of `eps`"
        )
        if self.measured and (self.deviations is not None or isinstance(self.learning, PPOLearning)):
            raise InvalidInput(
                "measured is True; expected False where deviations are given, or nothing is replayed (PPO)"
            )
        if (
            self.measured
            and not isinstance(self.learning, PPOLearning)
            and self.robustness.ramp.begin <= self.learning.learning_starts
        ):
            raise InvalidInput(
                f"ramp begins at time step {self.robustness.ramp.begin:g}; expected one after the "
                f"{self.learning.learning_starts} steps of random actions, where deviations are measured"
            )

    def train(self, run: Run) -> None:
        """Train; write the run's state at intervals and the agent at the end."""
        from stable_baselines3.common.callbacks import BaseCallback

        from .. import threads
        from ..algorithms.robust_td3 import RobustTD3
        from ..policies import agent as agents
        from ..policies import sb3
        from ..training import resume
        from ..training.watch import Units, Watch

        final = run.checkpoints / _AGENT
        if run.resume and final.exists():
            return
        steps = self.learning.timesteps
        with threads.one_thread(), run.progress(f"training {self.subject}", total=steps) as progress:
            robustness = self.robustness
            if self.deviations is not None:
                robustness = replace(
                    robustness,
                    perturbation=scale.ball(robustness.perturbation.radius or 0.0, self.deviations),
                )
            model = self.learning.build(self.env, robustness=robustness, seed=self.seed, device=self.device)
            state = run.checkpoints / _STATE
            if run.resume and state.exists():
                resume.restore(model, checkpoints.load(state))
            callbacks: list[BaseCallback] = [
                Watch(path=state, seconds=self.save_every, log_every=_LOG_EVERY, run=run, progress=progress)
            ]
            units: Units | None = None
            if self.measured and isinstance(model, RobustTD3):
                units = Units(run.checkpoints / _UNITS, model)
                callbacks.append(units)
            if model.num_timesteps < steps:
                model.learn(
                    steps - model.num_timesteps,
                    callback=callbacks,
                    log_interval=None,
                    reset_num_timesteps=model.num_timesteps == 0,
                )
            agent = sb3.convert(
                model,
                self.env,
                deviations=self.deviations if units is None else units.deviations(),
                eps=self.robustness.perturbation.radius if self.robustness.kappa > 0 else None,
            )
            agents.save(agent, final)

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
        """Give what is measured: random noise, the agent's own critic as an attack, and the maximal action difference."""
        from ..attacks import CriticAttack, MaximalActionDifference, RandomNoise
        from ..evaluation.evaluate import AgentEvaluation

        adversaries = (RandomNoise(), CriticAttack(), MaximalActionDifference())
        return AgentEvaluation(episodes=self.episodes, eps=self.eps, adversaries=adversaries)
