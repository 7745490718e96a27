"""Schedules: the card's formulas, monotone, steady at the seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustsuite import training
from robustsuite.errors import InvalidInput
from robustsuite.training import schedules
from tests.training.cases import SCHEDULES

spans = st.floats(0.5, 500)
middles = st.floats(0.05, 0.95)


def test_every_public_schedule_has_a_case() -> None:
    public = {
        name
        for name in training.__all__
        if getattr(getattr(training, name), "__module__", "") == schedules.__name__ and name != "Schedule"
    }
    assert public == set(SCHEDULES)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=list(SCHEDULES))
def test_values_lie_between_0_and_1_and_never_turn(schedule: training.Schedule) -> None:
    values = np.array([schedule(epoch) for epoch in np.linspace(0, 30, 601)])
    assert ((values >= 0) & (values <= 1)).all()
    steps = np.diff(values)
    assert (steps >= -1e-12).all() or (steps <= 1e-12).all()


@given(begin=spans, length=spans, middle=middles)
def test_the_smoothed_ramp_starts_at_0_ends_at_1_and_has_no_kink(
    begin: float, length: float, middle: float
) -> None:
    ramp = training.SmoothedRamp(begin=begin, length=length, middle=middle)
    seam, h = begin + middle * length, 1e-5 * length
    assert ramp(0.0) == ramp(begin) == 0
    assert ramp(begin + length) == pytest.approx(1, abs=1e-9)
    assert ramp(begin + 2 * length) == 1
    before, after = ramp(seam) - ramp(seam - h), ramp(seam + h) - ramp(seam)
    assert after == pytest.approx(before, rel=1e-2)


def test_the_smoothed_ramp_is_the_published_formula() -> None:
    s, middle = 100.0, 0.25
    m = middle * s
    c = 1 / (m**3 * (4 * (s - m) + m))
    ramp = training.SmoothedRamp(length=s)
    assert ramp(10.0) == pytest.approx(c * 10**4, rel=1e-12)
    assert ramp(60.0) == pytest.approx(c * m**4 + 4 * c * m**3 * (60 - m), rel=1e-12)


def test_steps_and_cosine_at_known_places() -> None:
    assert [training.Steps(at=(3.0, 6.0))(epoch) for epoch in (2.9, 3.0, 6.0)] == pytest.approx(
        [1, 0.1, 0.01]
    )
    assert [training.Cosine(length=10.0)(epoch) for epoch in (0.0, 5.0, 10.0, 20.0)] == pytest.approx(
        [1, 0.5, 0, 0]
    )


def test_senseless_spans_are_refused() -> None:
    with pytest.raises(InvalidInput, match="length is 0.0"):
        training.Linear(length=0.0)
    with pytest.raises(InvalidInput, match="middle is 1.0; expected a number in .0, 1."):
        training.SmoothedRamp(length=5.0, middle=1.0)
    with pytest.raises(InvalidInput, match="increasing"):
        training.Steps(at=(6.0, 3.0))
