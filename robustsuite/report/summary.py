"""From records to what people compare: clean, attacked and certified, side by side, and whether they can be true."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from robustsuite.runs.records import Record

KINDS = ("clean", "attacked", "certified")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity of one subject under one perturbation.

    Args:
        quantity: see `Metric`.
        unit: what it counts in, where it is measured in several units on this data; else "".
        clean: without perturbation.
        attacked: the worst value that any attack reached.
        certified: the best value that any certificate gives.
    """

    domain: str
    subject: str
    data: str
    seed: int
    quantity: str
    unit: str
    perturbation: str
    clean: Record | None
    attacked: Record | None
    certified: Record | None

    @property
    def place(self) -> str:
        """What a section of a table is about."""
        return f"{self.domain}, {self.data}: {titled(self.quantity, self.unit)}"


def titled(quantity: str, unit: str) -> str:
    """Give a quantity as words, with its unit if there is one to tell it by."""
    return f"{spaced(quantity)} ({unit})" if unit else spaced(quantity)


def telling_units(records: Iterable[Record]) -> dict[Place, str]:
    """Give the unit by which to tell records of one domain, data and quantity apart: "" where they share one."""
    units: dict[tuple[str, str, str], set[str]] = {}
    for record in records:
        units.setdefault((record.domain, record.data, record.metric.quantity), set()).add(record.metric.unit)
    return {
        (*place, unit): (unit or "no unit") if len(found) > 1 else ""
        for place, found in units.items()
        for unit in found
    }


Place = tuple[str, str, str, str]
"""Domain, data, quantity and unit: what may stand in one row or one figure."""


def spaced(name: str) -> str:
    """Give a metric's name or quantity as words."""
    return name.replace("_", " ")


def rows(records: Iterable[Record]) -> list[Row]:
    """Put clean, attacked and certified of each subject, quantity and perturbation into one row.

    What belongs together stands together, in the order met: quantities of the same data, subjects of the same quantity.
    Shares and counts of one quantity are not compared: a row has one unit.
    Metrics of kind "other" are left to `others`.
    """
    places: dict[tuple[str, str], dict[tuple[str, str], dict[tuple[str, int], list[Record]]]] = {}
    compared = [record for record in records if record.metric.kind in KINDS]
    units = telling_units(compared)
    for record in compared:
        quantities = places.setdefault((record.domain, record.data), {})
        subjects = quantities.setdefault((record.metric.quantity, record.metric.unit), {})
        subjects.setdefault((record.subject, record.seed), []).append(record)
    return [
        row
        for (domain, data), quantities in places.items()
        for (quantity, unit), subjects in quantities.items()
        for group in subjects.values()
        for row in _rows_of(group, unit=units[domain, data, quantity, unit])
    ]


def _rows_of(group: Sequence[Record], *, unit: str) -> list[Row]:
    first = group[0]
    clean = best([record for record in group if record.metric.kind == "clean"])
    threats = {record.perturbation: record for record in group if record.metric.kind != "clean"}
    found = []
    for name in sorted(threats, key=lambda name: _order(threats[name])) or ["none"]:
        here = [record for record in group if record.perturbation == name]
        found.append(
            Row(
                domain=first.domain,
                subject=first.subject,
                data=first.data,
                seed=first.seed,
                quantity=first.metric.quantity,
                unit=unit,
                perturbation=name,
                clean=clean,
                attacked=worst([record for record in here if record.metric.kind == "attacked"]),
                certified=best([record for record in here if record.metric.kind == "certified"]),
            )
        )
    return found


def _order(record: Record) -> tuple[str, float, str]:
    """Order threat models by norm, then radius."""
    return record.norm, -1.0 if record.radius is None else record.radius, record.perturbation


def best(records: Sequence[Record]) -> Record | None:
    """Give the record with the best value, the first of equals, or None."""

    def better(one: Record, other: Record) -> Record:
        return other if one.metric.beats(other.value, one.value) else one

    return reduce(better, records) if records else None


def worst(records: Sequence[Record]) -> Record | None:
    """Give the record with the worst value, the first of equals, or None."""

    def worse(one: Record, other: Record) -> Record:
        return other if one.metric.beats(one.value, other.value) else one

    return reduce(worse, records) if records else None


def others(records: Iterable[Record]) -> list[Record]:
    """Give the records that are neither clean nor attacked nor certified."""
    return [record for record in records if record.metric.kind == "other"]


def violations(records: Sequence[Record]) -> list[str]:
    """Give one line for each place where certified, attacked and clean values cannot all be true.

    For every subject, perturbation and set of examples, what is certified of a quantity is not better than what an attack
    left of it or than its clean value. A share is not better under attack than without one either: an attacked example counts
    as right only if it is right unattacked. (An attack may well raise a return by chance.) A violation is an error in a bound,
    an attack or a measurement.
    """
    found: list[str] = []
    for row in rows(records):
        for low, high in (
            (row.certified, row.attacked),
            (row.certified, row.clean),
            (row.attacked, row.clean),
        ):
            if low is None or high is None or not (low is row.certified or low.metric.is_share):
                continue
            slack = 1e-9 * (1 + abs(high.value))
            if low.metric.beats(low.value, high.value) and abs(low.value - high.value) > slack:
                sizes = "" if low.n == high.n else f" (measured on {low.n} and {high.n} examples)"
                beyond, order = ("above", "<=") if low.metric.better == "higher" else ("below", ">=")
                found.append(
                    f"{spaced(row.quantity)} of '{row.subject}' on {row.data} (seed {row.seed}) under {row.perturbation}: "
                    f"{_label(low)} {low.value:.4f} is {beyond} {_label(high)} {high.value:.4f}{sizes}; "
                    f"expected certified {order} attacked {order} clean: one of the two is wrong"
                )
    return found


def text(record: Record | None, *, digits: int = 1) -> str:
    """Give a value with its interval: percent for shares, a dash for None.

    Args:
        record: what was measured.
        digits: behind the point; where a number's interval stays below 10 without being a share, two at least.

    Example:
        >>> text(None)
        '–'
    """
    value, between = value_text(record, digits=digits), interval_text(record, digits=digits)
    return f"{value} ({between})" if between else value


def value_text(record: Record | None, *, digits: int = 1) -> str:
    """Give a value alone. See `text`."""
    if record is None:
        return "–"
    digits = _digits(record, digits)
    return f"{record.value * 100:.{digits}f}%" if record.metric.is_share else f"{record.value:.{digits}f}"


def interval_text(record: Record | None, *, digits: int = 1) -> str:
    """Give the interval alone, as "91.2–96.0"; nothing where there is none."""
    if record is None or math.isnan(record.low) or math.isnan(record.high):
        return ""
    scale, digits = (100, digits) if record.metric.is_share else (1, _digits(record, digits))
    return f"{record.low * scale:.{digits}f}–{record.high * scale:.{digits}f}"


def _digits(record: Record, digits: int) -> int:
    ends = [abs(end) for end in (record.value, record.low, record.high) if not math.isnan(end)]
    return digits if record.metric.is_share or max(ends) >= 10 else max(digits, 2)


def _label(record: Record) -> str:
    kind = record.metric.kind
    return f"{kind} ({record.method})" if record.method != "none" else kind
