"""Figures of several trainings: one curve with an interval, and profiles; nothing where there is one training."""

from __future__ import annotations

import pytest

from robustsuite.envs.evaluation.evaluate import ATTACKED_RETURN, RETURN, STRONGEST_BY_MEAN
from robustsuite.envs.evaluation.figures import over_trainings, profiles
from robustsuite.runs.records import Record


def record(subject: str, seed: int, eps: float, value: float) -> Record:
    return Record(
        domain="envs",
        subject=subject,
        data="CartPole-v1",
        perturbation=f"Linf_std({eps})" if eps else "none",
        norm="Linf_std" if eps else "",
        radius=eps or None,
        method=STRONGEST_BY_MEAN if eps else "none",
        metric=ATTACKED_RETURN if eps else RETURN,
        value=value,
        low=value,
        high=value,
        n=20,
        seed=seed,
    )


def trainings(seeds: int) -> list[Record]:
    return [
        record(subject, seed, eps, 500.0 * keep**eps - seed)
        for subject, keep in (("DQN", 0.001), ("SA-DQN", 0.5))
        for seed in range(seeds)
        for eps in (0.0, 0.1, 0.2)
    ]


def test_several_trainings_are_one_curve_each() -> None:
    (curve,) = over_trainings(trainings(4))
    assert [panel.title for panel in curve.panels] == ["DQN (4 trainings)", "SA-DQN (4 trainings)"]
    assert "interquartile mean over trainings" in curve.title
    drawn = profiles(trainings(4))
    assert len(drawn) == 2
    assert all("<svg" in panel.svg for figure in drawn for panel in figure.panels)


@pytest.mark.parametrize("draw", [over_trainings, profiles])
def test_one_training_has_no_figure(draw: object) -> None:
    assert callable(draw)
    assert draw(trainings(1)) == []
    assert draw([]) == []
