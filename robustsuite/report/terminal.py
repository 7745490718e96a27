"""The results as one table on the terminal, made for 80 columns."""

from __future__ import annotations

from rich.table import Table

from robustsuite.report import summary
from robustsuite.report.page import Content


def table(content: Content) -> Table:
    """Give clean, attacked and certified per subject and perturbation, with 95% intervals."""
    drawn = Table(box=None, title=content.title, title_style="bold", title_justify="left", pad_edge=False)
    drawn.add_column("subject")
    drawn.add_column("perturbation", no_wrap=True)
    for title, style in (("clean", ""), ("attacked", "yellow"), ("certified", "cyan")):
        drawn.add_column(title, justify="right", style=style, no_wrap=True)
    place = subject = ""
    several_seeds = len({record.seed for record in content.records}) > 1
    for row in summary.rows(content.records):
        if f"{row.domain}, {row.data}" != place:
            place, subject = f"{row.domain}, {row.data}", ""
            drawn.add_row()
            drawn.add_row(f"[bold]{place}[/bold]")
        title = f"{row.subject}, seed {row.seed}" if several_seeds else row.subject
        same, subject = title == subject, title
        drawn.add_row(
            "" if same else f"  {title}",
            row.perturbation,
            "" if same else summary.text(row.clean, digits=0),
            summary.text(row.attacked, digits=0),
            summary.text(row.certified, digits=0),
        )
    return drawn
