"""Measure an agent: natural return, return under each attack over a curve of eps, certified actions and returns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from robustsuite.runs import files
from robustsuite.runs.metric import SHARE, Metric
from robustsuite.runs.records import Record

from .. import environments
from ..attacks import Adversary, PGDOnQ, Preparation, RandomNoise
from ..certificates.actions import LOWEST_REWARD, METHODS, certified_actions, certified_returns
from ..certificates.deviation import action_deviation
from ..policies import Agent, QFunction
from ..streams import Streams
from ..threads import one_thread
from .rollout import Rollout, rollout

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

STRONGEST = "strongest attack per episode"
STRONGEST_BY_MEAN = "strongest attack by mean"

RETURN = Metric(name="return", kind="clean", unit="return")
ATTACKED_RETURN = Metric(name="return", kind="attacked", unit="return")
CERTIFIED_RETURN = Metric(name="certified_return", kind="certified", unit="return", quantity="return")
KEPT_ACTIONS = Metric(name="kept_actions", kind="attacked", unit=SHARE)
CERTIFIED_ACTIONS = Metric(name="certified_actions", kind="certified", unit=SHARE, quantity="kept_actions")
ACTION_DEVIATION = Metric(name="action_deviation", kind="certified", unit="action", better="lower")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvaluation:
    """What is measured. Every agent that is evaluated with the same seed plays the same episodes.

    Args:
        episodes: per attack and eps, >= 1; the figures of a report need at least 20.
        eps: radii of the curve, in the agent's units, > 0. See `Agent.ball`.
        adversaries: each plays the whole curve; a `Preparation` (a searched rule, a trained critic or adversary) is made for
            each agent and radius, on episodes of its own.
        details: also give "kept_actions" and "certified_return". See `evaluate`.
        first: reset seed of the first episode, >= 0; the others follow it. None: one that belongs to the seed.

    Raises:
        InvalidInput: no episode, or a radius that is not positive.
    """

    episodes: int = 20
    eps: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3)
    adversaries: tuple[Adversary | Preparation, ...] = (RandomNoise(), PGDOnQ())
    details: bool = False
    first: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, "episodes", integer=True, least=1)
        check_fields(self, "first", integer=True, least=0, optional=True)
        check_numbers("eps", self.eps, above=0)
        check_kind(self.adversaries, tuple, "adversaries", "a tuple of attacks such as (PGDOnQ(),)")
        for adversary in self.adversaries:
            check_kind(
                adversary,
                (Adversary, Preparation),
                "adversaries",
                "observation attacks such as PGDOnQ()",
            )
        check_flags(self, "details")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One number before it becomes a record."""

    metric: Metric
    estimate: Estimate
    perturbation: Perturbation | None = None
    method: str = "none"
    seconds: float = 0.0


@dataclass(slots=True)
class _Measuring:
    """One agent under measurement: what was found so far."""

    agent: Agent
    env: VecEnv
    evaluation: AgentEvaluation
    seed: int
    first: int
    rows: list[_Row] = field(default_factory=list)
    episodes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, metric: Metric, estimate: Estimate, **about: Any) -> None:
        self.rows.append(_Row(metric=metric, estimate=estimate, **about))

    def play(self, adversary: Adversary | None = None, ball: Perturbation | None = None) -> Rollout:
        played = rollout(
            self.agent,
            self.env,
            episodes=self.evaluation.episodes,
            seed=self.first,
            adversary=adversary,
            perturbation=ball,
            attack_seed=self.seed,
            keep_states=adversary is None,
        )
        name, radius = ("none", 0.0) if adversary is None or ball is None else (adversary.name, ball.radius)
        self.episodes += [
            {
                "attack": name,
                "eps": radius,
                "reset_seed": self.first + place,
                "return": float(value),
                "length": int(length),
            }
            for place, (value, length) in enumerate(zip(played.returns, played.lengths, strict=True))
        ]
        return played


def evaluate(
    agent: Agent,
    evaluation: AgentEvaluation,
    *,
    subject: str,
    seed: int,
    recipe: str = "",
    episodes: Path | None = None,
) -> list[Record]:
    """Measure an agent with deterministic actions, one reset seed per episode.

    Metrics: `RETURN` (natural); `ATTACKED_RETURN` under each attack at each eps, and of the strongest, both ways:
    `STRONGEST_BY_MEAN`, the lowest of the attacks' mean returns, as papers give it, and `STRONGEST`, the mean over episodes of
    the lowest return. What is legal at a radius is so at every larger one, so both take the smaller radii of the curve along.

    For policies that take the action of the largest value: `CERTIFIED_ACTIONS` (share of the natural steps at which nothing
    in B can change the action, by IBP and by CROWN); as details `KEPT_ACTIONS` (share of them at which PGD does not change it)
    and `CERTIFIED_RETURN` (what no adversary in B can undercut, where the environment is known to be deterministic). For
    continuous actions: `ACTION_DEVIATION` (how far the action can move, at most). Intervals: bootstrap over episodes.

    Args:
        agent: of any kind.
        evaluation: what to measure.
        subject: name of the agent in tables.
        seed: of the training that made the agent; where the evaluation names no first reset seed, also that of the episodes
            and of the attacks.
        recipe: name of the recipe that made the agent.
        episodes: parquet file for the return of every single episode; None: none is written.
    """
    check_kind(
        agent, Agent, "agent", "an Agent: policies.agent.load(path) or policies.sb3.convert(model, env)"
    )
    check_kind(evaluation, AgentEvaluation, "evaluation", "an AgentEvaluation(...)")
    given = evaluation.first
    first, own = (seeding.derive(seed, "test"), seed) if given is None else (given, given)
    with one_thread(), closing(environments.lockstep(agent.env, evaluation.episodes)) as env:
        measuring = _Measuring(agent, env, evaluation, own, first)
        started = time.perf_counter()
        natural = measuring.play()
        measuring.add(RETURN, statistics.mean(natural.returns), seconds=time.perf_counter() - started)
        _attacks(measuring, natural)
        if isinstance(agent.policy, QFunction):
            _actions(measuring, natural)
        else:
            _deviations(measuring, natural)
    if episodes is not None:
        _write(measuring.episodes, episodes, subject=subject, env=agent.env, seed=seed)
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
        for row in measuring.rows
    ]


def _attacks(measuring: _Measuring, natural: Rollout) -> None:
    """Play each attack at each radius, and say what the strongest left."""
    evaluation, agent = measuring.evaluation, measuring.agent
    radii = sorted(evaluation.eps)
    found: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    spent = np.zeros(len(radii))
    for number, chosen in enumerate(evaluation.adversaries):
        for place, eps in enumerate(radii):
            ball, started = agent.ball(eps), time.perf_counter()
            adversary = chosen
            if isinstance(chosen, Preparation):
                own = seeding.derive(measuring.seed, "preparation", chosen.name)
                adversary = chosen.prepare(agent, ball, seed=own)
            assert isinstance(adversary, Adversary)
            played = measuring.play(adversary, ball)
            found[number, place] = played.returns
            seconds = time.perf_counter() - started
            spent[place] += seconds
            measuring.add(
                ATTACKED_RETURN,
                statistics.mean(played.returns),
                perturbation=ball,
                method=adversary.name,
                seconds=seconds,
            )
    for place, eps in enumerate(radii if evaluation.adversaries else ()):
        legal = [values for (_, smaller), values in found.items() if smaller <= place]
        about = {"perturbation": agent.ball(eps), "seconds": float(spent[place])}
        by_mean = min([*legal, natural.returns], key=lambda values: float(values.mean()))
        per_episode = np.minimum.reduce([natural.returns, *legal])
        measuring.add(ATTACKED_RETURN, statistics.mean(by_mean), method=STRONGEST_BY_MEAN, **about)
        measuring.add(ATTACKED_RETURN, statistics.mean(per_episode), method=STRONGEST, **about)


def _actions(measuring: _Measuring, natural: Rollout) -> None:
    """Attack and certify the actions of the natural episodes."""
    agent, evaluation, q = measuring.agent, measuring.evaluation, measuring.agent.policy
    states = torch.from_numpy(natural.states).to(q.device)
    horizon = gym.spec(agent.env).max_episode_steps
    for eps in evaluation.eps:
        ball = agent.ball(eps)
        if evaluation.details:
            _kept(measuring, states, natural, eps, ball)
        for name, method in METHODS.items():
            started = time.perf_counter()
            certified = certified_actions(q, states, ball, method=method).cpu().numpy()
            about = {"perturbation": ball, "method": name, "seconds": time.perf_counter() - started}
            measuring.add(CERTIFIED_ACTIONS, share_of_steps(certified, natural), **about)
            if evaluation.details and agent.env in LOWEST_REWARD and horizon is not None:
                proven = certified_actions(q, states, ball, method=method, sound=True).cpu().numpy()
                values = certified_returns(
                    natural, proven, lowest_reward=LOWEST_REWARD[agent.env], horizon=horizon
                )
                measuring.add(CERTIFIED_RETURN, statistics.mean(values), **about)


def _kept(
    measuring: _Measuring, states: torch.Tensor, natural: Rollout, eps: float, ball: Perturbation
) -> None:
    started, attack, q = time.perf_counter(), PGDOnQ(), measuring.agent.policy
    streams = Streams(measuring.seed, "kept actions", repr(eps), episodes=range(len(states)), device=q.device)
    shown = attack.shown(q, states, ball, streams.draw())
    kept = (q.act(shown) == q.act(states)).cpu().numpy()
    measuring.add(
        KEPT_ACTIONS,
        share_of_steps(kept, natural),
        perturbation=ball,
        method=attack.name,
        seconds=time.perf_counter() - started,
    )


def _deviations(measuring: _Measuring, natural: Rollout) -> None:
    """Bound how far the actions of the natural episodes can move."""
    policy = measuring.agent.policy
    states = torch.from_numpy(natural.states).to(policy.device)
    for eps in measuring.evaluation.eps:
        ball = measuring.agent.ball(eps)
        for name, method in METHODS.items():
            started = time.perf_counter()
            found = action_deviation(policy, states, ball, method=method).cpu().double().numpy()
            sums = np.bincount(natural.episode, weights=found, minlength=len(natural.returns))
            measuring.add(
                ACTION_DEVIATION,
                statistics.ratio(sums, natural.lengths),
                perturbation=ball,
                method=name,
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


def _write(rows: Sequence[dict[str, Any]], path: Path, *, subject: str, env: str, seed: int) -> None:
    import pandas as pd

    table = pd.DataFrame([{"subject": subject, "env": env, "seed": seed, **row} for row in rows])
    with files.replacing(path) as temporary:
        table.to_parquet(temporary)
