"""A matrix of agents and attacks as a table on the terminal, and as a figure of reports."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from robustsuite.report import figures
from robustsuite.report.figures import Figure, Panel
from robustsuite.report.statistics import Estimate
from robustsuite.runs.records import Record

from .evaluate import STRONGEST, STRONGEST_BY_MEAN
from .matrix import Matrix, matrices

_SHORT = {STRONGEST: "per episode", STRONGEST_BY_MEAN: "by mean"}


def drawn(matrix: Matrix) -> Table:
    """Give a table of one row for each attack and one column for each agent, the worst single attack of each marked."""
    table = Table(
        box=None, title=f"{matrix.env}, {matrix.perturbation}: return", title_justify="left", pad_edge=False
    )
    table.add_column("attack")
    for agent in matrix.agents:
        table.add_column(agent, justify="right")
    for attack in matrix.attacks:
        cells = [
            f"[bold yellow]{text}[/]" if matrix.worst.get(agent) == attack else text
            for agent in matrix.agents
            for text in (_text(matrix.cells.get((agent, attack))),)
        ]
        table.add_row(attack, *cells)
    return table


def _text(cell: Estimate | None) -> str:
    if cell is None:
        return "–"
    digits = 0 if abs(cell.value) >= 100 else 1
    interval = "" if cell.low != cell.low else f" ({cell.low:.{digits}f}–{cell.high:.{digits}f})"
    return f"{cell.value:.{digits}f}{interval}"


def matrix_figures(records: Sequence[Record]) -> list[Figure]:
    """Draw a matrix for each environment and radius with two attacks or more: shades are shares of the largest return."""
    found = []
    for matrix in matrices(records):
        if len(matrix.attacks) < 4:  # the natural return, one attack and the strongest: a curve says it all
            continue
        attacks = [_SHORT.get(attack, attack) for attack in matrix.attacks]
        values = [
            [
                matrix.cells[agent, attack].value if (agent, attack) in matrix.cells else None
                for attack in matrix.attacks
            ]
            for agent in matrix.agents
        ]
        marked = [
            (matrix.agents.index(agent), matrix.attacks.index(attack))
            for agent, attack in matrix.worst.items()
        ]
        found.append(
            Figure(
                title=f"{matrix.env}, {matrix.perturbation}: return of each agent under each attack",
                domain="envs",
                horizontal="attack; the two last: the strongest of all, by mean and per episode",
                kinds=("attacked",),
                panels=(
                    Panel(
                        title="interquartile means over trainings; the worst single attack of each agent stands out",
                        svg=figures.grid(
                            values,
                            rows=matrix.agents,
                            columns=attacks,
                            marked=marked,
                            salt=f"{matrix.env} {matrix.perturbation}",
                        ),
                        wide=True,
                    ),
                ),
            )
        )
    return found
