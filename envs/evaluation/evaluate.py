"""Measure an agent: natural return, return under each attack over a curve of eps, certified actions and returns."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from robustsuite import seeding
from robustsuite.arguments import check_fields, check_flags, check_kind, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.report import statistics
from robustsuite.report.statistics import Estimate
from robustsuite.runs.metric import SHARE, Metric
from robustsuite.runs.records import Record

from .. import environments
from ..attacks import Adversary, PGDOnQ, RandomNoise
from ..certificates.actions import LOWEST_REWARD, METHODS, certified_actions, certified_returns
from ..policies import Agent, QFunction
from ..streams import Streams
from ..threads import one_thread
from .rollout import Rollout, rollout

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

STRONGEST = "strongest attack per episode"

RETURN = Metric(name="return", kind="clean", unit="return")
ATTACKED_RETURN = Metric(name="return", kind="attacked", unit="return")
CERTIFIED_RETURN = Metric(name="certified_return", kind="certified", unit="return", quantity="return")
KEPT_ACTIONS = Metric(name="kept_actions", kind="attacked", unit=SHARE)
CERTIFIED_ACTIONS = Metric(name="certified_actions", kind="certified", unit=SHARE, quantity="kept_actions")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvaluation:
    """What is measured. Every agent that is evaluated with the same seed plays the same episodes.

    Args:
        episodes: per attack and eps, >= 1; the figures of a report need at least 20.
        eps: radii of the curve, in standard deviations of each coordinate, > 0.
        adversaries: each plays the whole curve.
        details: also give "kept_actions" and "certified_return". See `evaluate`.

    Raises:
        InvalidInput: no episode, or a radius that is not positive.
    """

    episodes: int = 20
    eps: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    adversaries: tuple[Adversary, ...] = (RandomNoise(), PGDOnQ())
    details: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "episodes", integer=True, least=1)
        check_numbers("eps", self.eps, above=0)
        for adversary in self.adversaries:
            check_kind(adversary, Adversary, "adversaries", "observation attacks such as PGDOnQ()")
        check_flags(self, "details")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One number before it becomes a record."""

    metric: Metric
    estimate: Estimate
    perturbation: Perturbation | None = None
    method: str = "none"
    seconds: float = 0.0


def evaluate(
    agent: Agent, evaluation: AgentEvaluation, *, subject: str, seed: int, recipe: str = ""
) -> list[Record]:
    """Measure an agent with deterministic actions, one reset seed per episode.

    Metrics: `RETURN` (natural), `ATTACKED_RETURN` (under each attack; lowest of all attacks for each episode),
    `CERTIFIED_ACTIONS` (share of the natural steps at which nothing in B can change the action, by IBP and by CROWN); as
    details `KEPT_ACTIONS` (share of them at which PGD does not change the action) and `CERTIFIED_RETURN` (what no adversary
    in B can undercut, where the environment is known to be deterministic). Intervals: bootstrap over episodes.

    Args:
        agent: with the deviations in which eps counts.
        evaluation: what to measure.
        subject: name of the agent in tables.
        seed: of the episodes and of the attacks.
        recipe: name of the recipe that made the agent.
    """
    check_kind(
        agent, Agent, "agent", "an Agent: policies.agent.load(path) or policies.sb3.convert(model, env)"
    )
    check_kind(evaluation, AgentEvaluation, "evaluation", "an AgentEvaluation(...)")
    first = seeding.derive(seed, "test")
    with one_thread(), closing(environments.lockstep(agent.env, evaluation.episodes)) as env:
        started = time.perf_counter()
        natural = rollout(agent, env, episodes=evaluation.episodes, seed=first)
        rows = [
            _Row(
                metric=RETURN,
                estimate=statistics.mean(natural.returns),
                seconds=time.perf_counter() - started,
            )
        ]
        rows += _attacked_rows(agent, env, first, evaluation, natural, seed=seed)
        if isinstance(agent.policy, QFunction):
            rows += _action_rows(agent, agent.policy, evaluation, natural, seed=seed)
    return [
        Record(
            domain="envs",
            subject=subject,
            data=agent.env,
            perturbation=row.perturbation.describe() if row.perturbation else "none",
            norm=row.perturbation.norm if row.perturbation else "",
            radius=row.perturbation.radius if row.perturbation else None,
            method=row.method,
            metric=row.metric,
            seed=seed,
            seconds=row.seconds,
            recipe=recipe,
            **asdict(row.estimate),
        )
        for row in rows
    ]


def _attacked_rows(
    agent: Agent, env: VecEnv, first: int, evaluation: AgentEvaluation, natural: Rollout, *, seed: int
) -> list[_Row]:
    """Play the whole curve of each attack; of all attacks, the lowest return of each episode."""
    balls = [agent.ball(eps) for eps in evaluation.eps]
    lowest = np.tile(natural.returns, (len(balls), 1))
    rows, spent = [], np.zeros(len(balls))
    for adversary in evaluation.adversaries:
        for place, ball in enumerate(balls):
            started = time.perf_counter()
            played = rollout(
                agent,
                env,
                episodes=evaluation.episodes,
                seed=first,
                adversary=adversary,
                perturbation=ball,
                attack_seed=seed,
                keep_states=False,
            )
            seconds = time.perf_counter() - started
            spent[place] += seconds
            lowest[place] = np.minimum(lowest[place], played.returns)
            rows.append(
                _Row(
                    metric=ATTACKED_RETURN,
                    estimate=statistics.mean(played.returns),
                    perturbation=ball,
                    method=adversary.name,
                    seconds=seconds,
                )
            )
    if evaluation.adversaries:
        for ball, values, seconds in zip(balls, lowest, spent, strict=True):
            rows.append(
                _Row(
                    metric=ATTACKED_RETURN,
                    estimate=statistics.mean(values),
                    perturbation=ball,
                    method=STRONGEST,
                    seconds=float(seconds),
                )
            )
    return rows


def _action_rows(
    agent: Agent, q: QFunction, evaluation: AgentEvaluation, natural: Rollout, *, seed: int
) -> list[_Row]:
    """Attack and certify the actions of the natural episodes."""
    states = torch.from_numpy(natural.states).to(q.device)
    env = agent.env
    horizon = gym.spec(env).max_episode_steps
    rows = []
    for eps in evaluation.eps:
        ball = agent.ball(eps)
        if evaluation.details:
            rows.append(_kept_row(q, states, natural, eps, ball, seed=seed))
        for name, method in METHODS.items():
            started = time.perf_counter()
            certified = certified_actions(q, states, ball, method=method).cpu().numpy()
            seconds = time.perf_counter() - started
            rows.append(
                _Row(
                    metric=CERTIFIED_ACTIONS,
                    estimate=share_of_steps(certified, natural),
                    perturbation=ball,
                    method=name,
                    seconds=seconds,
                )
            )
            if evaluation.details and env in LOWEST_REWARD and horizon is not None:
                values = certified_returns(
                    natural, certified, lowest_reward=LOWEST_REWARD[env], horizon=horizon
                )
                rows.append(
                    _Row(
                        metric=CERTIFIED_RETURN,
                        estimate=statistics.mean(values),
                        perturbation=ball,
                        method=name,
                        seconds=seconds,
                    )
                )
    return rows


def _kept_row(
    q: QFunction, states: torch.Tensor, natural: Rollout, eps: float, ball: Perturbation, *, seed: int
) -> _Row:
    started = time.perf_counter()
    attack = PGDOnQ()
    streams = Streams(seed, "kept actions", repr(eps), episodes=range(len(states)), device=q.device)
    shown = attack.shown(q, states, ball, streams.draw())
    kept = (q.greedy(shown) == q.greedy(states)).cpu().numpy()
    return _Row(
        metric=KEPT_ACTIONS,
        estimate=share_of_steps(kept, natural),
        perturbation=ball,
        method=attack.name,
        seconds=time.perf_counter() - started,
    )


def share_of_steps(flags: npt.NDArray[np.bool_], played: Rollout, *, seed: int = 0) -> Estimate:
    """Estimate the share of steps with a flag, over all steps of all episodes.

    The interval resamples whole episodes, because the steps of one episode depend on each other.

    Args:
        flags: one per step of `played`.
        played: the episodes.
        seed: of the resampling.

    Raises:
        InvalidInput: one flag per step is missing.
    """
    if flags.shape != played.episode.shape:
        raise InvalidInput(f"flags have shape {flags.shape}; expected one per step, {played.episode.shape}")
    hits = np.bincount(played.episode, weights=flags, minlength=len(played.returns))
    return statistics.ratio(hits, played.lengths, seed=seed)
