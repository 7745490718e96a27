"""Curves over the radius, as SVG that takes its colours from the page.

Colours are drawn as marks that no figure needs and then replaced by CSS variables: the same SVG is right in light and in dark.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from robustsuite.report import summary
from robustsuite.report.summary import KINDS
from robustsuite.runs.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKS = {
    "#010101": "var(--ink-soft)",
    "#020202": "var(--line)",
    "#030303": "var(--clean)",
    "#040404": "var(--attacked)",
    "#050505": "var(--certified)",
}
_INK, _LINE, _CLEAN, _ATTACKED, _CERTIFIED = _MARKS
_STYLES = {"attacked": (_ATTACKED, "o"), "certified": (_CERTIFIED, "s")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One subject's curves.

    Args:
        title: the subject.
        svg: the drawing, for putting into a page.
        wide: whether it takes the page's whole width.
    """

    title: str
    svg: str
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Panels that share their axes.

    Args:
        title: what is measured, on what.
        domain: of the subjects.
        horizontal: what the horizontal axis is.
        kinds: which of "clean", "attacked", "certified" are drawn.
        panels: one per subject.
    """

    title: str
    domain: str
    horizontal: str
    kinds: tuple[str, ...]
    panels: tuple[Panel, ...]


def curves(records: Sequence[Record]) -> list[Figure]:
    """Draw value over radius, one figure per domain, data, norm, quantity and unit, one panel per subject."""
    groups: dict[tuple[summary.Place, str], dict[tuple[str, int], list[Record]]] = {}
    units = summary.telling_units(record for record in records if record.metric.kind in KINDS)
    for record in records:
        if record.metric.kind in _STYLES and record.radius is not None and math.isfinite(record.radius):
            key = (_place(record), record.norm)
            groups.setdefault(key, {}).setdefault((record.subject, record.seed), []).append(record)
    cleans = {
        (_place(record), record.subject, record.seed): record
        for record in records
        if record.metric.kind == "clean"
    }
    figures = []
    for (place, norm), subjects in groups.items():
        domain, data, quantity, _ = place
        several_seeds = len({seed for _, seed in subjects}) > 1
        everything = [record for group in subjects.values() for record in group]
        paired = {(subject, seed): cleans.get((place, subject, seed)) for subject, seed in subjects}
        everything += [record for record in paired.values() if record is not None]
        limits = _limits(everything)
        panels = tuple(
            Panel(
                title=f"{subject}, seed {seed}" if several_seeds else subject,
                svg=_panel(
                    group,
                    paired[subject, seed],
                    limits=limits,
                    salt=f"{place} {norm} {subject} {seed}",
                ),
            )
            for (subject, seed), group in subjects.items()
        )
        kinds = tuple(kind for kind in KINDS if any(record.metric.kind == kind for record in everything))
        figures.append(
            Figure(
                title=f"{summary.titled(quantity, units[place])} on {data}",
                domain=domain,
                horizontal=f"{norm} radius",
                kinds=kinds,
                panels=panels,
            )
        )
    return figures


def _place(record: Record) -> summary.Place:
    return record.domain, record.data, record.metric.quantity, record.metric.unit


def _limits(records: Sequence[Record]) -> tuple[float, float]:
    """Give the common vertical range of a figure's panels."""
    if records[0].metric.is_share:
        return 0.0, 1.0
    ends = [
        end for record in records for end in (record.low, record.high, record.value) if math.isfinite(end)
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    margin = 0.05 * (high - low or 1.0)
    return low - (margin if low < 0 else 0), high + (margin if high > 0 else 0)


def line(
    horizontal: Sequence[float] | NDArray[np.floating],
    shares: Sequence[float] | NDArray[np.floating],
    *,
    salt: str,
) -> str:
    """Draw a line of shares in the colour of attacks, as a panel.

    Args:
        horizontal: where they are.
        shares: in [0, 1].
        salt: tells the drawing from others on a page.
    """
    with _axes((0.0, 1.0), share=True, salt=salt) as (axes, drawn):
        axes.plot(horizontal, shares, color=_ATTACKED, linewidth=1.6, clip_on=False)
    return drawn[0]


def grid(
    values: Sequence[Sequence[float | None]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    marked: Sequence[tuple[int, int]] = (),
    salt: str,
) -> str:
    """Draw a table of numbers, each on a shade of its share of the largest, as a panel.

    Args:
        values: by row and column; None where there is none.
        rows, columns: their names.
        marked: places of numbers that stand out.
        salt: tells the drawing from others on a page.
    """
    known = [value for line in values for value in line if value is not None]
    low, high = min(0.0, *known), max(known)
    size = (1.6 + 0.75 * len(columns), 0.9 + 0.28 * len(rows))
    with _axes(None, share=False, salt=salt, size=size) as (axes, drawn):
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                if value is None:
                    continue
                share = (value - low) / ((high - low) or 1.0)
                axes.barh(row, 0.96, left=column, height=0.9, color=_CLEAN, alpha=0.05 + 0.35 * share)
                axes.text(
                    *(column + 0.48, row, f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"),
                    ha="center",
                    va="center",
                    color=_ATTACKED if (row, column) in marked else _INK,
                    weight="bold" if (row, column) in marked else "normal",
                )
        axes.set_xlim(0, len(columns))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), labels=list(rows))
        axes.set_xticks(
            [column + 0.48 for column in range(len(columns))], labels=list(columns), rotation=25, ha="right"
        )
    return drawn[0]


def _panel(records: Sequence[Record], clean: Record | None, *, limits: tuple[float, float], salt: str) -> str:
    with _axes(limits, share=records[0].metric.is_share, salt=salt) as (axes, drawn):
        for kind, (colour, marker) in _STYLES.items():
            points = _points([record for record in records if record.metric.kind == kind])
            if points and clean is not None:
                points = [(0.0, clean), *points]  # at radius 0 all three are the same
            if not points:
                continue
            eps = [radius for radius, _ in points]
            values = [record.value for _, record in points]
            ends = [(record.low, record.high) for _, record in points]
            axes.fill_between(
                eps, [low for low, _ in ends], [high for _, high in ends], color=colour, alpha=0.16, lw=0
            )
            axes.plot(eps, values, color=colour, marker=marker, markersize=3.5, linewidth=1.6, clip_on=False)
        if clean is not None:
            axes.axhline(clean.value, color=_CLEAN, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_xlim(left=0)
    return drawn[0]


@contextmanager
def _axes(
    limits: tuple[float, float] | None, *, share: bool, salt: str, size: tuple[float, float] = (3.5, 2.2)
) -> Iterator[tuple[Axes, list[str]]]:
    """Give the axes of a small figure, and a list that holds its drawing afterwards; without limits there is no scale."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    drawn: list[str] = []
    # Text stays text in the page's font; the salt makes names inside the SVG differ between panels.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 8}):
        drawing = Drawing(figsize=size, layout="constrained")
        FigureCanvasSVG(drawing)
        axes = drawing.subplots()
        yield axes, drawn
        if limits is not None:
            axes.set_ylim(*limits)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.grid(visible=True, axis="y", color=_LINE, linewidth=0.8)
        if share:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_axisbelow(True)
        axes.tick_params(length=0, colors=_INK, labelcolor=_INK)
        for name, spine in axes.spines.items():
            spine.set_visible(name == "bottom")
            spine.set_color(_LINE)
        file = io.StringIO()
        drawing.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn.append(_for_page(file.getvalue()))


def _points(records: Sequence[Record]) -> list[tuple[float, Record]]:
    """Give one record per radius: the strongest attack, or the best certificate."""
    radii: dict[float, list[Record]] = {}
    for record in records:
        if record.radius is not None:
            radii.setdefault(record.radius, []).append(record)
    pick = summary.worst if records and records[0].metric.kind == "attacked" else summary.best
    return [(radius, found) for radius in sorted(radii) if (found := pick(radii[radius])) is not None]


def _for_page(svg: str) -> str:
    """Cut the XML head and the fixed size, and let the page's variables colour the drawing."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    # Fonts of the page, not of the machine that drew it.
    svg = re.sub(r"font: [^;\"]*?([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    for mark, variable in _MARKS.items():
        svg = svg.replace(mark, variable)
    return svg.strip()
