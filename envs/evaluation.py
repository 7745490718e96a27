"""Measure an agent: natural return, return under each attack over a curve of eps, certified actions and returns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from robustsuite import seeding
from robustsuite.arguments import check_callable, check_fields, check_flags, check_kind, check_numbers
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation, Scaled
from robustsuite.report import statistics
from robustsuite.report.statistics import Estimate
from robustsuite.runs.metric import SHARE, Metric
from robustsuite.runs.records import Record

from . import scale
from .agents import Agent
from .attacks import Adversary, PGDOnQ, RandomNoise
from .certificates import LOWEST_REWARD, METHODS, certified_actions, certified_returns
from .q_function import QFunction
from .rollout import Rollout, rollout
from .threads import one_thread

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
            check_callable(adversary, "adversaries", "observation attacks such as PGDOnQ()")
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
        agent: on an environment whose deviations `scale.published` knows.
        evaluation: what to measure.
        subject: name of the agent in tables.
        seed: of the episodes and of the attacks.
        recipe: name of the recipe that made the agent.
    """
    check_kind(agent, Agent, "agent", "an Agent: agents.load(path) or agents.from_dqn(model, env)")
    check_kind(evaluation, AgentEvaluation, "evaluation", "an AgentEvaluation(...)")
    q = agent.q_function()
    seeds = [seeding.derive(seed, "test", episode) for episode in range(evaluation.episodes)]
    with one_thread():
        started = time.perf_counter()
        natural = rollout(q, agent.env, seeds)
        rows = [
            _Row(
                metric=RETURN,
                estimate=statistics.mean(natural.returns),
                seconds=time.perf_counter() - started,
            )
        ]
        rows += _attacked_rows(q, agent.env, seeds, evaluation, natural, seed=seed)
        rows += _action_rows(q, agent.env, evaluation, natural, seed=seed)
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
    q: QFunction, env: str, seeds: Sequence[int], evaluation: AgentEvaluation, natural: Rollout, *, seed: int
) -> list[_Row]:
    """Play the whole curve of each attack as one batch of episodes."""
    std = scale.published(env)
    balls = [scale.ball(eps, std) for eps in evaluation.eps]
    lowest = np.tile(natural.returns, (len(evaluation.eps), 1))
    rows, spent = [], 0.0
    for adversary in evaluation.adversaries:
        started = time.perf_counter()
        played = rollout(
            q,
            env,
            list(seeds) * len(evaluation.eps),
            adversary=adversary,
            perturbations=[ball for ball in balls for _ in seeds],
            generator=seeding.generator(seed, "attack", adversary.name),
        )
        seconds = (time.perf_counter() - started) / len(evaluation.eps)
        spent += seconds
        returns = played.returns.reshape(len(evaluation.eps), len(seeds))
        lowest = np.minimum(lowest, returns)
        for ball, values in zip(balls, returns, strict=True):
            rows.append(
                _Row(
                    metric=ATTACKED_RETURN,
                    estimate=statistics.mean(values),
                    perturbation=ball,
                    method=adversary.name,
                    seconds=seconds,
                )
            )
    if evaluation.adversaries:
        for ball, values in zip(balls, lowest, strict=True):
            rows.append(
                _Row(
                    metric=ATTACKED_RETURN,
                    estimate=statistics.mean(values),
                    perturbation=ball,
                    method=STRONGEST,
                    seconds=spent,
                )
            )
    return rows


def _action_rows(
    q: QFunction, env: str, evaluation: AgentEvaluation, natural: Rollout, *, seed: int
) -> list[_Row]:
    """Attack and certify the actions of the natural episodes."""
    states = torch.from_numpy(natural.states).to(q.device)
    std = scale.published(env)
    horizon = gym.spec(env).max_episode_steps
    rows = []
    for eps in evaluation.eps:
        ball = scale.ball(eps, std)
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
    q: QFunction, states: torch.Tensor, natural: Rollout, eps: float, ball: Scaled, *, seed: int
) -> _Row:
    started = time.perf_counter()
    attack = PGDOnQ()
    shown = attack(q, states, ball, generator=seeding.generator(seed, "kept actions", repr(eps)))
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
