"""Intervals: hand-computed values, ranges, invariances, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from robustsuite.errors import InvalidInput
from robustsuite.report.statistics import exact_proportion, mean, proportion, ratio


def test_wilson_by_hand() -> None:
    # Brown, Cai, DasGupta's formula at p = 0.5, n = 4: the middle stays at 0.5.
    z2 = 1.959963984540054**2
    half = math.sqrt(z2) / (1 + z2 / 4) * math.sqrt(0.25 / 4 + z2 / 64)
    found = proportion(2, 4)
    assert found.low == pytest.approx(0.5 - half)
    assert found.high == pytest.approx(0.5 + half)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilson_s_interval_holds_the_value_and_mirrors(n: int, share: float) -> None:
    successes = round(share * n)
    found, mirrored = proportion(successes, n), proportion(n - successes, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_none_and_all_are_not_certain() -> None:
    assert proportion(0, 20).low == 0
    assert proportion(0, 20).high == pytest.approx(0.161, abs=1e-3)
    assert proportion(20, 20).high == 1


def test_wilson_covers() -> None:
    stream = np.random.default_rng(0)
    for p in (0.05, 0.5, 0.9):
        found = [proportion(int(k), 50) for k in stream.binomial(50, p, size=2000)]
        covered = np.mean([one.low <= p <= one.high for one in found])
        assert 0.92 <= covered <= 0.98


@given(st.integers(1, 500), st.floats(0, 1))
def test_the_exact_interval_is_that_of_beta_quantiles(n: int, share: float) -> None:
    successes = round(share * n)
    found = exact_proportion(successes, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    low = stats.beta.ppf(0.025, successes, n - successes + 1) if successes else 0.0
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(1 - exact_proportion(n - successes, n).low, abs=1e-9)


def test_the_exact_interval_covers_at_least_as_often_as_it_says() -> None:
    """Summed over all outcomes, where Wilson's interval falls short."""
    for n, p in ((10, 0.04), (20, 0.3), (50, 0.99)):
        inside = [exact_proportion(k, n).low <= p <= exact_proportion(k, n).high for k in range(n + 1)]
        assert stats.binom.pmf(np.flatnonzero(inside), n, p).sum() >= 0.95


def test_a_ratio_weighs_groups_by_their_size() -> None:
    found = ratio([1, 30], [10, 30])
    assert found.value == 31 / 40
    assert found.low <= found.value <= found.high
    assert found.n == 40
    assert ratio([3, 6, 9], [10, 20, 30]).low == pytest.approx(0.3)
    with pytest.raises(InvalidInput, match="1 parts and 2 wholes"):
        ratio([1], [1, 2])


def test_the_bootstrap_covers() -> None:
    stream = np.random.default_rng(0)
    found = [mean(stream.exponential(size=40), resamples=400) for _ in range(400)]
    covered = np.mean([one.low <= 1 <= one.high for one in found])
    assert 0.88 <= covered <= 0.98  # skewed and n = 40: a little below 95% is right


def test_mean_is_deterministic_and_ordered() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    assert mean(values) == mean(values)
    found = mean(values)
    assert found.low <= found.value == 2.8 <= found.high
    assert mean([2.0] * 9).low == mean([2.0] * 9).high == 2.0


def test_one_observation_has_no_interval() -> None:
    found = mean([3.0])
    assert found.value == 3.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_wrong_numbers_are_refused() -> None:
    for successes, n in ((-1, 3), (4, 3), (0, 0)):
        with pytest.raises(InvalidInput, match="expected 0 <= successes <= n"):
            proportion(successes, n)
    with pytest.raises(InvalidInput, match="at least one"):
        mean([])
    with pytest.raises(InvalidInput, match="value 1 is nan"):
        mean([1.0, math.nan])
