"""The recipe of a Q agent: train it, plain or robust, keep the best of its training, and measure it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from robustsuite.arguments import check_fields, check_kind, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.recipes import Recipe
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run

from ..threat import scale
from ..training.learning import QLearning
from ..training.robustness import Robustness
from ..training.validation import Validation

if TYPE_CHECKING:
    from ..evaluation.evaluate import AgentEvaluation

_STATE = "state.safetensors"
_AGENT = "agent.safetensors"


@dataclass(frozen=True, kw_only=True)
class QAgent(Recipe):
    """Train DQN or a robust kin on one environment and measure the agent of the best validation.

    Args:
        env: gymnasium id; observations are vectors, or images in 8 bits, and actions discrete.
        subject: name of the agent in tables.
        learning: hyper-parameters; their class says which algorithm: `QLearning` (DQN, SA-DQN), `CARLearning` ...
        radius: of the training at the ramp's end, in standard deviations, on images in shares of their range, >= 0.
        robustness: what is added, with the perturbation left out, for `radius` gives it; kappa 0 is plain DQN.
        deviations: of each coordinate, in which all radii count; none: the known ones of the environment, else those of the
            states in the replay buffer when the ramp begins, written with the run. Agents of the same seed, hyper-parameters
            and ramp measure the same ones, robust or not.
        validation: how the best agent is chosen, on episodes of their own seeds.
        eps: radii of the curve, in the units of `radius`, > 0.
        episodes: per attack and eps, >= 1.
    """

    domain: ClassVar[str] = "envs"

    env: str
    subject: str
    learning: QLearning = field(default_factory=QLearning)
    radius: float = 0.0
    robustness: Robustness = field(default_factory=Robustness)
    deviations: tuple[float, ...] = ()
    validation: Validation = field(default_factory=Validation)
    eps: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    episodes: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, "episodes", integer=True, least=1)
        check_numbers("eps", self.eps, above=0)
        check_fields(self, "radius", least=0)
        check_kind(self.env, str, "env", "a gymnasium id")
        if self.deviations:
            check_numbers("deviations", self.deviations, least=0)
        check_kind(self.learning, QLearning, "learning", "a QLearning(...)")
        check_kind(self.robustness, Robustness, "robustness", "a Robustness(...)")
        check_kind(self.validation, Validation, "validation", "a Validation(...)")
        if self.robustness.perturbation != Robustness().perturbation:
            raise InvalidInput(
                "robustness has a perturbation; expected none: radius gives it, in standard deviations"
            )

    def train(self, run: Run) -> None:
        """Train; write the run's state at intervals and the best agent at the end."""
        from .. import environments, threads
        from ..policies import agent as agents
        from ..training import callbacks

        environments.check_spaces(environments.make(self.env))
        final = run.checkpoints / _AGENT
        if run.resume and final.exists():
            return
        steps = self.learning.timesteps
        with threads.one_thread(), run.progress(f"training {self.subject}", total=steps) as progress:
            model = self.learning.build(
                self.env, robustness=self.robustness, seed=self.seed, device=self.device
            )
            keeper = callbacks.KeepBest(
                env=self.env,
                radius=self.radius,
                deviations=self.deviations or scale.KNOWN.get(self.env),
                validation=self.validation,
                run=run,
                seed=self.seed,
                progress=progress,
            )
            state = run.checkpoints / _STATE
            if run.resume and state.exists():
                callbacks.load(state, model, keeper)
            saver = callbacks.SaveState(path=state, every=self.validation.every, keeper=keeper)
            if not keeper.finished and model.num_timesteps < steps:
                model.learn(
                    steps - model.num_timesteps,
                    callback=[keeper, saver],
                    log_interval=None,
                    reset_num_timesteps=model.num_timesteps == 0,
                )
            if not keeper.finished:
                keeper.look()
            agents.save(keeper.best(), final)

    def evaluate(self, run: Run) -> list[Record]:
        """Measure the kept agent over the curve of eps."""
        from ..evaluation import evaluate as evaluation
        from ..policies import agent as agents

        agent = agents.load(run.checkpoints / _AGENT, device=self.device)
        with run.progress(f"evaluating {self.subject}", total=1):
            return evaluation.evaluate(
                agent, self.evaluation(), subject=self.subject, seed=self.seed, recipe=self.name
            )

    def evaluation(self) -> AgentEvaluation:
        """Give what is measured: random noise, PGD on Q, and the attack toward each action."""
        import gymnasium as gym

        from .. import environments
        from ..attacks import PGDOnQ, RandomNoise, TowardAction
        from ..evaluation.evaluate import AgentEvaluation

        env = environments.make(self.env)
        environments.check_spaces(env)
        space = env.action_space
        assert isinstance(space, gym.spaces.Discrete)
        toward = tuple(TowardAction(action=action) for action in range(int(space.n)))
        return AgentEvaluation(
            episodes=self.episodes, eps=self.eps, adversaries=(RandomNoise(), PGDOnQ(), *toward)
        )
