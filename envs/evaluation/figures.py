"""Figures of agents for reports: several trainings of one kind as one curve, and how many of them keep how much.

Source: Agarwal et al. 2021: interquartile means with stratified bootstrap intervals, performance profiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from robustsuite.report import figures
from robustsuite.report.figures import Figure, Panel
from robustsuite.runs.records import Record

from . import aggregates
from .evaluate import ATTACKED_RETURN, RETURN, STRONGEST_BY_MEAN

_POINTS = 200


def over_trainings(records: Sequence[Record]) -> list[Figure]:
    """Draw, where a subject was trained with several seeds, the interquartile mean of their returns over the radius."""
    groups: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for record in _returns(records):
        groups.setdefault((record.data, record.norm), {}).setdefault(record.subject, []).append(record)
    drawn = []
    for (data, norm), subjects in groups.items():
        if not norm or all(len({record.seed for record in group}) < 2 for group in subjects.values()):
            continue
        natural = groups.get((data, ""), {})
        pooled = [
            one for subject, group in subjects.items() for one in _pooled([*group, *natural.get(subject, [])])
        ]
        for figure in figures.curves(pooled):
            drawn.append(
                replace(
                    figure, title=f"return on {data}: interquartile mean over trainings, {STRONGEST_BY_MEAN}"
                )
            )
    return drawn


def _returns(records: Sequence[Record]) -> list[Record]:
    """Give the natural returns, and those under the strongest attack by mean."""
    return [
        record
        for record in records
        if record.domain == "envs"
        and (
            record.metric == RETURN
            or (record.metric == ATTACKED_RETURN and record.method == STRONGEST_BY_MEAN)
        )
    ]


def _pooled(records: Sequence[Record]) -> list[Record]:
    """Give one record for each radius, of the scores of all trainings."""
    radii: dict[str, list[Record]] = {}
    for record in records:
        radii.setdefault(record.perturbation, []).append(record)
    found = []
    for group in radii.values():
        estimate = aggregates.estimate([record.value for record in group])
        found.append(
            replace(
                group[0],
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                n=estimate.n,
                seed=0,
                subject=f"{group[0].subject} ({len(group)} trainings)",
            )
        )
    return found


def profiles(records: Sequence[Record]) -> list[Figure]:
    """Draw, where a subject was trained with several seeds, the share of trainings that keep more than a return."""
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for record in _returns(records):
        if record.metric == ATTACKED_RETURN:
            place = groups.setdefault((record.data, record.perturbation), {})
            place.setdefault(record.subject, []).append(record.value)
    drawn = []
    for (data, perturbation), subjects in groups.items():
        if all(len(values) < 2 for values in subjects.values()):
            continue
        everything = [value for values in subjects.values() for value in values]
        thresholds = np.linspace(min(0.0, *everything), max(everything), _POINTS)
        panels = tuple(
            Panel(
                title=f"{subject} ({len(values)} trainings)",
                svg=figures.line(
                    thresholds, aggregates.performance_profile(values, thresholds), salt=f"{data} {subject}"
                ),
            )
            for subject, values in subjects.items()
        )
        drawn.append(
            Figure(
                title=f"{data}, {perturbation}: share of trainings above a return, {STRONGEST_BY_MEAN}",
                domain="envs",
                horizontal="return",
                kinds=("attacked",),
                panels=panels,
            )
        )
    return drawn
