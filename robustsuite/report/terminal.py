"""The results as tables on the terminal, made for 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from robustsuite.report import summary
from robustsuite.report.page import Content


def tables(content: Content) -> list[Table]:
    """Give clean, attacked and certified side by side, a table for each quantity, and all else that was measured."""
    several_seeds = len({record.seed for record in content.records}) > 1
    places: dict[str, list[tuple[str, ...]]] = {}
    subjects: dict[str, str] = {}
    for row in summary.rows(content.records):
        title = f"{row.subject}, seed {row.seed}" if several_seeds else row.subject
        same = subjects.get(row.place) == title
        subjects[row.place] = title
        places.setdefault(row.place, []).append(
            (
                "" if same else title,
                row.perturbation,
                "" if same else summary.text(row.clean, digits=0),
                summary.text(row.attacked, digits=0),
                summary.text(row.certified, digits=0),
            )
        )
    everything = [cells for rows in places.values() for cells in rows]
    widths = [max(len(cells[column]) for cells in everything) for column in range(5)] if everything else []
    drawn = [_compared(place, rows, widths, head=not i) for i, (place, rows) in enumerate(places.items())]
    return [*drawn, *([others] if (others := _others(content)).row_count else [])]


_WIDTH = 80
_LEAST = 12  # that subjects get; where they are longer than the room, they go on in the next line


def _compared(place: str, rows: Sequence[tuple[str, ...]], widths: Sequence[int], *, head: bool) -> Table:
    """Give the table of one quantity, as wide as the others.

    Args:
        place: its title.
        rows: their cells.
        widths: of the five columns, over all tables.
        head: whether the columns' titles are shown.
    """
    drawn = Table(
        box=None,
        title=escape(place),
        title_style="bold",
        title_justify="left",
        pad_edge=False,
        show_header=head,
    )
    titles = ("perturbation", *summary.KINDS)
    rest = [max(width, len(title)) for width, title in zip(widths[1:], titles, strict=True)]
    room = _WIDTH - sum(rest) - 2 * len(rest)  # two spaces between columns
    drawn.add_column("subject", width=min(max(room, _LEAST), max(widths[0], len("subject"))))
    drawn.add_column(titles[0], no_wrap=True, width=rest[0])
    for title, style, width in zip(titles[1:], ("", "yellow", "cyan"), rest[1:], strict=True):
        drawn.add_column(title, justify="right", style=style, no_wrap=True, width=width)
    for row in rows:
        drawn.add_row(*map(escape, row))
    return drawn


def _others(content: Content) -> Table:
    """Give the numbers that are neither clean nor attacked nor certified."""
    drawn = Table(
        box=None, title="other measurements", title_style="bold", title_justify="left", pad_edge=False
    )
    for title in ("subject", "data", "metric", "perturbation"):
        drawn.add_column(title)
    drawn.add_column("value", justify="right", no_wrap=True)
    for record in summary.others(content.records):
        name = summary.spaced(record.metric.name)
        cells = (record.subject, record.data, name, record.perturbation, summary.text(record))
        drawn.add_row(*map(escape, cells))
    return drawn
