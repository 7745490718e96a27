"""From records to what people compare: clean, attacked and certified, side by side, and whether they can be true."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from robustsuite.runs.records import Record

_RADIUS = re.compile(r"(?P<norm>\w+)\((?:\S+?\.\.)?(?P<eps>[-+\d.e]+)\)")
_ACCURACIES = {"accuracy", "robust_accuracy", "certified_accuracy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One subject under one perturbation.

    Args:
        clean: without perturbation.
        attacked: the lowest value that any attack reached.
        certified: the highest value that any certificate gives.
    """

    domain: str
    subject: str
    data: str
    seed: int
    perturbation: str
    clean: Record | None
    attacked: Record | None
    certified: Record | None


def kind(record: Record) -> str:
    """Say whether a record is "clean", "attacked" or "certified"."""
    if record.metric.startswith("certified"):
        return "certified"
    return "clean" if record.perturbation == "none" else "attacked"


def family(record: Record) -> str:
    """Give what is measured, whether clean, attacked or certified: records of one family share an axis."""
    return "accuracy" if record.metric in _ACCURACIES else record.metric.replace("_", " ")


def is_share(record: Record) -> bool:
    """Say whether a record's value is a share of n, shown in percent."""
    return (
        "accuracy" in record.metric or record.metric.startswith("certified") or record.metric.endswith("rate")
    )


def radius(perturbation: str) -> tuple[str, float] | None:
    """Read the norm and the radius (the largest, if it differs by feature) from `Perturbation.describe()`.

    Example:
        >>> radius("Linf(0.03)"), radius("Linf(0.01..0.2)"), radius("none")
        (('Linf', 0.03), ('Linf', 0.2), None)
    """
    found = _RADIUS.fullmatch(perturbation)
    return (found["norm"], float(found["eps"])) if found else None


def rows(records: Iterable[Record]) -> list[Row]:
    """Put clean, attacked and certified of each subject and perturbation into one row, in the order met."""
    subjects: dict[tuple[str, str, str, int], list[Record]] = {}
    for record in records:
        key = (record.domain, record.subject, record.data, record.seed)
        subjects.setdefault(key, []).append(record)
    found: list[Row] = []
    for (domain, subject, data, seed), group in subjects.items():
        clean = next((record for record in group if kind(record) == "clean"), None)
        names = dict.fromkeys(record.perturbation for record in group if kind(record) != "clean")
        for name in sorted(names, key=lambda name: radius(name) or (name, 0.0)) or ["none"]:
            here = [record for record in group if record.perturbation == name]
            attacked = [record for record in here if kind(record) == "attacked"]
            certified = [record for record in here if kind(record) == "certified"]
            found.append(
                Row(
                    domain=domain,
                    subject=subject,
                    data=data,
                    seed=seed,
                    perturbation=name,
                    clean=clean,
                    attacked=min(attacked, key=lambda record: record.value, default=None),
                    certified=max(certified, key=lambda record: record.value, default=None),
                )
            )
    return found


def violations(records: Sequence[Record]) -> list[str]:
    """Give one line for each place where certified <= attacked <= clean accuracy does not hold.

    It holds for every subject, perturbation and set of examples: an attacked example counts as right only if it is
    right unattacked, and no attack breaks a certified one. A violation is an error in a bound, an attack or a
    measurement.
    """
    found: list[str] = []
    for row in rows(record for record in records if family(record) == "accuracy"):
        ordered = [record for record in (row.certified, row.attacked, row.clean) if record is not None]
        for index, low in enumerate(ordered):
            for high in ordered[index + 1 :]:
                if low.value > high.value + 1e-9:
                    sizes = "" if low.n == high.n else f" (measured on {low.n} and {high.n} examples)"
                    found.append(
                        f"'{row.subject}' on {row.data} (seed {row.seed}) under {row.perturbation}: "
                        f"{_label(low)} {low.value:.4f} is above {_label(high)} {high.value:.4f}{sizes}; "
                        "expected certified <= attacked <= clean: one of the two is wrong"
                    )
    return found


def text(record: Record | None, *, digits: int = 1) -> str:
    """Give a value with its interval: percent for shares, a dash for None.

    Args:
        record: what was measured.
        digits: behind the point.

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
    return f"{record.value * 100:.{digits}f}%" if is_share(record) else f"{record.value:.{digits}f}"


def interval_text(record: Record | None, *, digits: int = 1) -> str:
    """Give the interval alone, as "91.2–96.0"; nothing where there is none."""
    if record is None or math.isnan(record.low) or math.isnan(record.high):
        return ""
    scale = 100 if is_share(record) else 1
    return f"{record.low * scale:.{digits}f}–{record.high * scale:.{digits}f}"


def _label(record: Record) -> str:
    return f"{kind(record)} ({record.method})" if record.method != "none" else kind(record)
