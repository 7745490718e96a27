"""Aggregates over trainings: known values, intervals that cover, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from robustsuite.envs.evaluation import aggregates
from robustsuite.errors import InvalidInput


def test_known_values() -> None:
    scores = np.array([[0.0, 10.0], [1.0, 20.0], [2.0, 30.0], [3.0, 1000.0]])
    assert aggregates.interquartile_mean(scores) == pytest.approx(np.mean([2.0, 3.0, 10.0, 20.0]))
    assert aggregates.median(scores) == pytest.approx((1.5 + 265.0) / 2)
    assert aggregates.mean(scores) == pytest.approx(scores.mean())
    profile = aggregates.performance_profile(scores, [-1.0, 2.5, 1000.0])
    np.testing.assert_allclose(profile, [1.0, 5 / 8, 0.0])


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(0), 0
    for trial in range(100):
        found = aggregates.estimate(rng.normal(size=(20, 2)), aggregates.mean, seed=trial, resamples=200)
        hits += found.low <= 0.0 <= found.high
    assert 85 <= hits <= 100


def test_one_training_has_no_interval_and_a_seed_repeats() -> None:
    alone = aggregates.estimate([3.0])
    assert (alone.value, alone.n) == (3.0, 1)
    assert np.isnan(alone.low)
    one, two = (aggregates.estimate([1.0, 2.0, 4.0, 9.0], seed=3) for _ in range(2))
    assert (one.low, one.high) == (two.low, two.high)
    assert one.low <= one.value <= one.high


@pytest.mark.parametrize("scores", [[], [[float("nan")]], [["a"]], np.zeros((2, 2, 2))])
def test_no_scores_are_refused(scores: object) -> None:
    with pytest.raises(InvalidInput, match="scores"):
        aggregates.estimate(scores)  # type: ignore[arg-type]
