"""Estimates with 95% intervals: of a proportion (Wilson) and of a mean (bootstrap)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustsuite.arguments import check_number, described
from robustsuite.errors import InvalidInput

_Z = 1.959963984540054  # the 97.5% point of the standard normal


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
    check_number("successes", successes, integer=True)
    check_number("n", n, integer=True)
    if not (n >= 1 and 0 <= successes <= n):
        raise InvalidInput(f"got {successes} successes of n = {n}; expected 0 <= successes <= n and n >= 1")
    value = successes / n
    spread = _Z**2 / n
    middle = (value + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(value * (1 - value) / n + spread / (4 * n))
    return Estimate(
        value=value,
        low=min(value, max(0.0, middle - half)),
        high=max(value, min(1.0, middle + half)),
        n=n,
    )


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
    try:
        observations = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InvalidInput(f"values is {described(values)}; expected a list of numbers") from None
    n = int(observations.size)
    if n == 0:
        raise InvalidInput("got no values to average; expected at least one")
    if not np.isfinite(observations).all():
        first = int(np.flatnonzero(~np.isfinite(observations))[0])
        raise InvalidInput(f"value {first} is {observations[first]}; expected finite numbers")
    value = float(observations.mean())
    if n == 1:
        return Estimate(value=value, low=math.nan, high=math.nan, n=1)
    stream = np.random.default_rng(seed)
    chunk = max(1, min(resamples, 2_000_000 // n))  # at most 16 MB of draws at a time
    means = np.concatenate(
        [
            observations[stream.integers(n, size=(min(chunk, resamples - start), n))].mean(1)
            for start in range(0, resamples, chunk)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)), n=n)
