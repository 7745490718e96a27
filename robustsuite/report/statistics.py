"""Estimates with 95% intervals: of a proportion (Wilson, Clopper-Pearson), a mean and a ratio (bootstrap)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from robustsuite.arguments import check_number, described
from robustsuite.errors import InvalidInput

_DRAWS = 2_000_000  # of the bootstrap at a time: at most 16 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95% interval. `Record(**dataclasses.asdict(estimate), ...)` takes it as it is.

    Args:
        value: the estimate.
        low, high: ends of the interval; NaN where one observation gives none.
        n: observations behind it.
    """

    value: float
    low: float
    high: float
    n: int


def proportion(successes: int, n: int) -> Estimate:
    """Estimate a probability from `successes` of `n` independent trials, with Wilson's score interval.

    Source: Wilson 1927; Brown, Cai, DasGupta 2001, section 3.1.

    Raises:
        InvalidInput: not 0 <= successes <= n, or n < 1.

    Example:
        >>> proportion(8, 10)
        Estimate(value=0.8, low=0.4901..., high=0.9433..., n=10)
    """
    return _binomial(successes, n, "wilson")


def exact_proportion(successes: int, n: int) -> Estimate:
    """Estimate a probability with Clopper and Pearson's interval, which holds at least 95% of the time for every n.

    Wider than `proportion`'s: for claims that must not be wrong more often than said.

    Source: Clopper and Pearson 1934.

    Raises:
        InvalidInput: not 0 <= successes <= n, or n < 1.

    Example:
        >>> exact_proportion(8, 10)
        Estimate(value=0.8, low=0.4439..., high=0.9747..., n=10)
    """
    return _binomial(successes, n, "exact")


def _binomial(successes: int, n: int, method: Literal["exact", "wilson"]) -> Estimate:
    check_number("successes", successes, integer=True)
    check_number("n", n, integer=True)
    if not (n >= 1 and 0 <= successes <= n):
        raise InvalidInput(f"got {successes} successes of n = {n}; expected 0 <= successes <= n and n >= 1")
    low, high = stats.binomtest(successes, n).proportion_ci(method=method)
    return _estimate(successes / n, (float(low), float(high)), n)


def mean(
    values: Sequence[float] | NDArray[np.floating], *, seed: int = 0, resamples: int = 10_000
) -> Estimate:
    """Estimate a mean, with the percentile bootstrap's interval.

    Args:
        values: independent observations, such as the returns of episodes; finite, at least one.
        seed: of the resampling, so that the same values give the same interval.
        resamples: >= 100.

    Source: Efron and Tibshirani 1993, chapter 13.

    Raises:
        InvalidInput: no values, or NaN or infinity among them.

    Example:
        >>> mean([1.0, 2.0, 3.0, 4.0]).value
        2.5
    """
    check_number("resamples", resamples, integer=True, least=100)
    check_number("seed", seed, integer=True, least=0)
    observations = _finite(values, "values", "value")
    interval = _bootstrap((observations,), np.mean, seed=seed, resamples=resamples)
    return _estimate(float(observations.mean()), interval, len(observations))


def ratio(
    parts: Sequence[float] | NDArray[Any],
    wholes: Sequence[float] | NDArray[Any],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """Estimate sum(parts) / sum(wholes) over independent groups, whose members depend on each other.

    The percentile bootstrap resamples whole groups: steps with a flag in each episode, and all of its steps.

    Args:
        parts, wholes: one number per group, finite; the wholes > 0.
        seed: of the resampling.
        resamples: >= 100.

    Returns:
        The estimate; its n is the sum of the wholes.

    Raises:
        InvalidInput: no groups, different numbers of parts and wholes, or a whole that is not positive.

    Example:
        >>> ratio([1, 2, 3], [10, 10, 20]).value
        0.15
    """
    check_number("resamples", resamples, integer=True, least=100)
    check_number("seed", seed, integer=True, least=0)
    hits, sizes = _finite(parts, "parts", "part"), _finite(wholes, "wholes", "whole")
    if hits.shape != sizes.shape or not bool((sizes > 0).all()):
        raise InvalidInput(
            f"got {len(hits)} parts and {len(sizes)} wholes; expected one whole > 0 for each part"
        )

    def share(a: NDArray[Any], b: NDArray[Any], axis: int = -1) -> NDArray[Any]:
        return np.asarray(a.sum(axis) / b.sum(axis))

    interval = _bootstrap((hits, sizes), share, seed=seed, resamples=resamples)
    return _estimate(float(hits.sum() / sizes.sum()), interval, int(sizes.sum()))


def _finite(values: Sequence[float] | NDArray[Any], name: str, one: str) -> NDArray[np.float64]:
    """Check observations and give them as an array."""
    try:
        observations = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is {described(values)}; expected a list of numbers") from None
    if observations.size == 0:
        raise InvalidInput("got no values to average; expected at least one")
    if not np.isfinite(observations).all():
        first = int(np.flatnonzero(~np.isfinite(observations))[0])
        raise InvalidInput(f"{one} {first} is {observations[first]}; expected finite numbers")
    return observations


def _bootstrap(
    samples: tuple[NDArray[Any], ...], statistic: Callable[..., Any], *, seed: int, resamples: int
) -> tuple[float, float]:
    """Give the ends of the percentile bootstrap's 95% interval, NaN where there is one observation."""
    n = len(samples[0])
    if n == 1:
        return math.nan, math.nan
    found = stats.bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
        batch=max(1, min(resamples, _DRAWS // n)),
    )
    low, high = found.confidence_interval
    return float(low), float(high)


def _estimate(value: float, ends: tuple[float, float], n: int) -> Estimate:
    """Give an estimate whose interval holds its value, whatever rounding did."""
    low, high = ends
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=n)
