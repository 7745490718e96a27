"""Records: one tidy row per measured number, the language of all three domains.

Training, attacks and certificates all return records; `write` and `read` keep them in a parquet file and the
report draws them.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustsuite.arguments import check_kind, check_number
from robustsuite.errors import InvalidInput
from robustsuite.runs import files
from robustsuite.runs.metric import Metric

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@cache
def versions() -> str:
    """Give the versions that a number depends on, as text: Python, robustsuite, torch, numpy."""
    found = [f"python {platform.python_version()}"]
    for package in ("robustsuite", "torch", "numpy"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One measured number, on what, under what, at what cost, and how to get it again.

    Args:
        domain: "envs", "nlp", "vision", or the name of a plug-in.
        subject: the model or agent that was measured, such as "conv net, certified".
        data: the data set or environment, with the split where there is one, such as "digits/test".
        perturbation: `Perturbation.describe()`, or "none".
        method: the attack's or certificate's name, or "none".
        metric: what the number measures.
        value: the number, finite.
        low, high: its 95% interval, low <= value <= high; NaN where there is none.
        n: the number of examples, episodes or decisions behind it, >= 1.
        seed: of the run, >= 0.
        norm: `Perturbation.norm`: what the radius is a radius in; "" where there is none.
        radius: `Perturbation.radius`, >= 0 (infinity for one without end), or None.
        seconds: time spent on the measurement, >= 0.
        queries: model calls, counted per example, >= 0.
        recipe: the name of the recipe that gives the number again.
        versions: of what it depends on.

    Raises:
        InvalidInput: a value outside the ranges above.
    """

    domain: str
    subject: str
    data: str
    perturbation: str
    method: str
    metric: Metric
    value: float
    low: float
    high: float
    n: int
    seed: int
    norm: str = ""
    radius: float | None = None
    seconds: float = 0.0
    queries: int = 0
    recipe: str = ""
    versions: str = field(default_factory=versions)

    def __post_init__(self) -> None:
        expected = "a Metric(name=..., kind=..., unit=...)"
        check_kind(self.metric, Metric, f"metric of a record of '{self.subject}'", expected)
        where = f"record of {self.metric.name} of '{self.subject}'"
        check_number(f"value of the {where}", self.value)
        for name in ("low", "high"):
            check_kind(
                getattr(self, name), (int, float), f"{name} of the {where}", "a number, or NaN for none"
            )
        # Rounding may put an end of the interval a few ulps inside the value.
        slack = 1e-9 * (1 + abs(self.value))
        if self.low > self.value + slack or self.high < self.value - slack:
            raise InvalidInput(
                f"{where} has value {self.value} outside its interval [{self.low}, {self.high}]; "
                "expected low <= value <= high"
            )
        check_number(f"n of the {where}", self.n, integer=True, least=1)
        for name in ("seed", "queries"):
            check_number(f"{name} of the {where}", getattr(self, name), integer=True, least=0)
        check_number(f"seconds of the {where}", self.seconds, least=0)
        check_number(f"radius of the {where}", self.radius, least=0, endless=True, optional=True)

    @property
    def key(self) -> tuple[str | int, ...]:
        """What makes a record the same measurement as another: all but the numbers."""
        return (
            *(self.domain, self.subject, self.data, self.perturbation, self.method, self.metric.name),
            *(self.seed, self.recipe),
        )


_METRIC = {"name": "metric", "quantity": "quantity", "kind": "kind", "unit": "unit", "better": "better"}
"""A metric's fields, and their columns."""


def _columns() -> dict[str, str]:
    """Give the types of all columns by name, in order: a metric's fields stand where the metric does."""
    columns: dict[str, str] = {}
    for column in fields(Record):
        if column.name == "metric":
            columns |= dict.fromkeys(_METRIC.values(), "str")
        else:
            columns[column.name] = str(column.type)
    return columns


COLUMNS: tuple[str, ...] = tuple(_columns())
"""The columns of a results table, in order."""


def to_row(record: Record) -> dict[str, Any]:
    """Give a record as plain values by column."""
    row = {column.name: getattr(record, column.name) for column in fields(Record)}
    metric = row.pop("metric")
    row |= {column: getattr(metric, name) for name, column in _METRIC.items()}
    return {column: row[column] for column in COLUMNS}


def from_row(row: Mapping[str, Any]) -> Record:
    """Give the record that `to_row` made a row of.

    Raises:
        InvalidInput: a value outside its range.
    """
    rest = {column: value for column, value in row.items() if column not in _METRIC.values()}
    metric = Metric(**{name: row[column] for name, column in _METRIC.items()})
    return Record(metric=metric, **rest)


def write(records: Iterable[Record], path: Path) -> None:
    """Write records to a parquet file in one step: a killed process leaves the old file whole.

    Raises:
        NotWritable: no permission to write there.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = list(records)
    for record in found:
        check_kind(record, Record, "records", "a list of Record(...)")
    rows = [to_row(record) for record in found]
    table = pa.Table.from_pylist(rows, schema=_schema())
    with files.replacing(path) as temporary:
        pq.write_table(table, temporary)


def read(path: Path) -> list[Record]:
    """Read the records of a parquet file.

    Raises:
        InvalidInput: no such file, a damaged one, or one with other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = files.checked_path(path)
    again = "measure again with 'robustsuite evaluate RUN_DIR'"
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise InvalidInput(f"no records at '{path}'; {again}") from None
    except (OSError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"records file '{path}' is damaged ({reason}); {again}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    strange = [name for name in table.column_names if name not in COLUMNS]
    if missing or strange:
        form = (
            f"lacks the column '{missing[0]}'"
            if missing
            else f"has a column '{strange[0]}' that is not known"
        )
        who = "an older" if missing else "a newer"
        raise InvalidInput(
            f"records file '{path}' {form}: it was written by {who} version, or is none; {again}"
        )
    try:
        return [from_row(row) for row in table.select(list(COLUMNS)).cast(_schema()).to_pylist()]
    except (TypeError, ValueError, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(f"records file '{path}' holds a wrong row: {error}; {again}") from None


def append(records: Sequence[Record], path: Path) -> None:
    """Add records to a parquet file (made where absent); a record of the same key replaces the old one.

    Raises:
        InvalidInput: the present file is damaged.
        NotWritable: no permission to write there.
    """
    path = files.checked_path(path)
    known = {record.key: record for record in (read(path) if path.exists() else [])}
    known.update({record.key: record for record in records})
    write(known.values(), path)


def to_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Give the records as a data frame with the columns `COLUMNS`."""
    import pandas as pd

    return pd.DataFrame([to_row(record) for record in records], columns=list(COLUMNS))


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {"str": pa.string(), "float": pa.float64(), "float | None": pa.float64(), "int": pa.int64()}
    return pa.schema([(column, kinds[kind]) for column, kind in _columns().items()])
