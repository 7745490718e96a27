"""The matrix: what each agent keeps under each attack, over all of its trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustsuite.report.statistics import Estimate
from robustsuite.runs.records import Record

from . import aggregates
from .evaluate import ATTACKED_RETURN, RETURN, STRONGEST, STRONGEST_BY_MEAN

NATURAL = "none"
_LAST = (STRONGEST_BY_MEAN, STRONGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Returns of agents under attacks, at one radius.

    Args:
        env: gymnasium id.
        perturbation: the threat model.
        agents: in the order met.
        attacks: `NATURAL` first, the strongest (both ways) last.
        cells: by agent and attack; interquartile means over trainings, a plain return where there is one.
        worst: of each agent, the single attack with the lowest value.
    """

    env: str
    perturbation: str
    agents: tuple[str, ...]
    attacks: tuple[str, ...]
    cells: dict[tuple[str, str], Estimate]
    worst: dict[str, str]


def matrices(records: Sequence[Record]) -> list[Matrix]:
    """Give one matrix for each environment and radius.

    Args:
        records: of `evaluate`, of any number of agents and trainings; others are passed over.
    """
    returns = [r for r in records if r.domain == "envs" and r.metric in (RETURN, ATTACKED_RETURN)]
    threats = dict.fromkeys((r.data, r.norm, r.radius, r.perturbation) for r in returns if r.norm)
    return [
        _matrix(returns, env, perturbation)
        for env, _, _, perturbation in sorted(threats, key=lambda key: (key[0], key[1], key[2] or 0.0))
    ]


def _matrix(returns: Sequence[Record], env: str, perturbation: str) -> Matrix:
    here = [r for r in returns if r.data == env and r.perturbation in ("none", perturbation)]
    attacked = dict.fromkeys(r.subject for r in here if r.perturbation == perturbation)
    scores: dict[tuple[str, str], dict[int, Record]] = {}
    for record in here:
        if record.subject in attacked:
            scores.setdefault((record.subject, record.method), {})[record.seed] = record
    attacks = dict.fromkeys(method for _, method in scores if method not in _LAST)
    attacks.pop(NATURAL, None)
    cells = {key: _estimate(list(found.values())) for key, found in scores.items()}
    worst = {}
    for agent in attacked:
        single = [attack for attack in attacks if (agent, attack) in cells]
        if single:
            worst[agent] = min(single, key=lambda attack: cells[agent, attack].value)
    return Matrix(
        env=env,
        perturbation=perturbation,
        agents=tuple(attacked),
        attacks=(NATURAL, *attacks, *(name for name in _LAST if any(name == method for _, method in scores))),
        cells=cells,
        worst=worst,
    )


def _estimate(records: Sequence[Record]) -> Estimate:
    """Give the interquartile mean over trainings, or one training's own estimate."""
    if len(records) == 1:
        (record,) = records
        return Estimate(value=record.value, low=record.low, high=record.high, n=record.n)
    return aggregates.estimate([record.value for record in records])
