"""Scores of several trainings as one number with an interval, as small samples of runs want it.

A table of scores has a row for each training (seed) and a column for each task (environment, or attack); its interval comes
from a bootstrap that resamples trainings within each column.

Source: Agarwal et al. 2021, sections 4.1 to 4.3 and appendix A ("Deep reinforcement learning at the edge of the statistical
precipice"); the estimators are those of its library, rliable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from robustsuite.arguments import check_number
from robustsuite.errors import InvalidInput
from robustsuite.report.statistics import Estimate

Table = NDArray[np.float64]
Statistic = Callable[[Table], float]


def interquartile_mean(scores: Table) -> float:
    """Give the mean of the middle half of all scores, rows and columns together."""
    return float(stats.trim_mean(scores, 0.25, axis=None))


def median(scores: Table) -> float:
    """Give the median over tasks of the mean over trainings."""
    return float(np.median(scores.mean(axis=0)))


def mean(scores: Table) -> float:
    """Give the mean of all scores."""
    return float(scores.mean())


def estimate(
    scores: Sequence[float] | Sequence[Sequence[float]] | Table,
    statistic: Statistic = interquartile_mean,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Estimate:
    """Estimate a statistic with the 95% interval of a bootstrap stratified by task.

    Args:
        scores: shape (trainings, tasks), finite; one task may be given as (trainings,).
        statistic: of a table of scores, such as `interquartile_mean`.
        seed: of the resampling.
        resamples: >= 100.

    Returns:
        The estimate; its n is the number of trainings, its ends are NaN where there is one.

    Raises:
        InvalidInput: no scores, or NaN or infinity among them.

    Example:
        >>> estimate([1.0, 2.0, 3.0, 100.0]).value
        2.5
    """
    table = checked(scores)
    check_number("seed", seed, integer=True, least=0)
    check_number("resamples", resamples, integer=True, least=100)
    value, runs = statistic(table), len(table)
    if runs == 1:
        return Estimate(value=value, low=float("nan"), high=float("nan"), n=1)
    generator = np.random.default_rng(seed)
    picks = generator.integers(runs, size=(resamples, *table.shape))
    found = [statistic(np.take_along_axis(table, pick, axis=0)) for pick in picks]
    low, high = np.percentile(found, [2.5, 97.5])
    return Estimate(value=value, low=min(float(low), value), high=max(float(high), value), n=runs)


def performance_profile(
    scores: Sequence[float] | Sequence[Sequence[float]] | Table,
    thresholds: Sequence[float] | NDArray[np.floating],
) -> NDArray[np.float64]:
    """Give the share of scores above each threshold (the run-score distribution).

    Args:
        scores: shape (trainings, tasks), or (trainings,).
        thresholds: of the score.

    Source: Agarwal et al. 2021, equation (2).
    """
    table = checked(scores)
    return np.array([(table > threshold).mean() for threshold in thresholds])


def checked(scores: Sequence[float] | Sequence[Sequence[float]] | Table) -> Table:
    """Give scores as a table, one column where one task was given.

    Raises:
        InvalidInput: no scores, or NaN or infinity among them.
    """
    try:
        table = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput("scores are no table of numbers; expected a row for each training") from None
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise InvalidInput(
            f"scores have shape {table.shape}, or NaN among them; expected finite numbers, a row for each training and a "
            "column for each task"
        )
    return table
