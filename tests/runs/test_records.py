"""Records: checked when made, the same after a round trip, damaged files named."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from robustsuite.errors import InvalidInput
from robustsuite.evaluation import CERTIFIED_ACCURACY, ROBUST_ACCURACY
from robustsuite.runs import records
from robustsuite.runs.files import NotWritable
from robustsuite.runs.metric import Metric
from robustsuite.runs.records import Record


def record(**changes: Any) -> Record:
    """Give a record with some fields changed."""
    base = Record(
        domain="vision",
        subject="conv net",
        data="digits/test",
        perturbation="Linf(0.1)",
        method="PGD(20)",
        metric=ROBUST_ACCURACY,
        norm="Linf",
        radius=0.1,
        value=0.8,
        low=0.7,
        high=0.9,
        n=100,
        seed=3,
        seconds=1.5,
        queries=2000,
        recipe="digits",
    )
    return replace(base, **changes)


def test_columns_are_those_of_the_design() -> None:
    assert (
        *(
            "domain",
            "subject",
            "data",
            "perturbation",
            "method",
            "metric",
            "quantity",
            "kind",
            "unit",
            "better",
        ),
        *("value", "low", "high", "n", "seed", "norm", "radius", "seconds", "queries", "recipe", "versions"),
    ) == records.COLUMNS


def test_round_trip(tmp_path: Path) -> None:
    written = [
        record(),
        record(method="none", value=-1e300, low=-1e300, high=-1e300),
        record(subject="ä,\n'\""),
        record(perturbation="none", norm="", radius=None),
        record(perturbation="Linf(inf)", radius=math.inf),
        record(metric=Metric(name="parity_gap", kind="other", unit="", better="lower")),
    ]
    records.write(written, tmp_path / "a" / "records.parquet")
    assert records.read(tmp_path / "a" / "records.parquet") == written


def test_a_missing_interval_survives(tmp_path: Path) -> None:
    records.write([record(low=math.nan, high=math.nan)], tmp_path / "r.parquet")
    [found] = records.read(tmp_path / "r.parquet")
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_append_replaces_the_same_key_only(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    records.append([record(), record(seed=4)], path)
    records.append([record(value=0.75), record(metric=CERTIFIED_ACCURACY)], path)
    found = {one.key: one.value for one in records.read(path)}
    assert found == {
        record().key: 0.75,
        record(seed=4).key: 0.8,
        record(metric=CERTIFIED_ACCURACY).key: 0.8,
    }


def test_frame() -> None:
    frame = records.to_frame([record()])
    assert tuple(frame.columns) == records.COLUMNS
    assert frame.iloc[0].to_dict() == records.to_row(record())
    assert records.from_row(records.to_row(record())) == record()
    assert tuple(records.to_frame([]).columns) == records.COLUMNS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": math.nan}, "value of the record of .* is nan; expected a number"),
        ({"low": 0.85}, r"outside its interval \[0.85, 0.9\]"),
        ({"n": 0}, "n of the record .* is 0; expected an integer >= 1"),
        ({"seed": -1}, "seed of the record .* is -1"),
        ({"radius": -0.1}, "radius of the record of .* is -0.1; expected a number >= 0, or None"),
        ({"metric": "accuracy"}, r"metric of a record of .* is 'accuracy'; expected a Metric\(name="),
        ({"seconds": math.nan}, "seconds of the record .* is nan; expected a number >= 0"),
    ],
)
def test_wrong_numbers_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        record(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "clear"}, "kind of the metric 'gap' is 'clear'; expected one of 'clean', 'attacked'"),
        ({"better": "more"}, "better of the metric 'gap' is 'more'; expected one of 'higher', 'lower'"),
        ({"name": ""}, "name of a metric is ''"),
        ({"unit": None}, "unit of a metric is None; expected a text"),
    ],
)
def test_wrong_metrics_are_refused(changes: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"name": "gap", "kind": "other", "unit": ""}
    with pytest.raises(InvalidInput, match=message):
        Metric(**(values | changes))


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    records.write([record()] * 50, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidInput, match=r"r.parquet' is damaged .*robustsuite evaluate") as error:
        records.read(path)
    assert "\n" not in str(error.value)


def test_an_absent_file_and_other_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no records at"):
        records.read(tmp_path / "nothing.parquet")
    frame = records.to_frame([record()]).drop(columns="seed")
    frame.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(
        InvalidInput,
        match="lacks the column 'seed': it was written by an older version.*robustsuite evaluate",
    ):
        records.read(tmp_path / "other.parquet")
    records.to_frame([record()]).assign(mood="good").to_parquet(tmp_path / "newer.parquet")
    with pytest.raises(
        InvalidInput,
        match="has a column 'mood' that is not known: it was written by a newer version.*evaluate",
    ):
        records.read(tmp_path / "newer.parquet")
    wrongs: list[Any] = [[[1, 2]], [{"a": 1}], ["many"], [None]]
    for wrong in wrongs:
        records.to_frame([record()]).assign(n=wrong).to_parquet(tmp_path / "wrong.parquet")
        with pytest.raises(InvalidInput, match="wrong.parquet' holds a wrong row.*evaluate") as error:
            records.read(tmp_path / "wrong.parquet")
        assert "\n" not in str(error.value)


def test_no_permission_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # a regular file where a folder is needed stops root too
    with pytest.raises(NotWritable, match=r"cannot write '.*'.*--out") as error:
        records.write([record()], tmp_path / "file" / "below" / "r.parquet")
    assert isinstance(error.value, OSError)
