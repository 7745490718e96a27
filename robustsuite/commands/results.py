"""What commands do with a run that is trained: measure it, and show its numbers."""

from __future__ import annotations

from pathlib import Path

from robustsuite.commands import console
from robustsuite.recipes import Recipe
from robustsuite.report import page as pages
from robustsuite.report import terminal
from robustsuite.runs import records
from robustsuite.runs.run import Run


def measure(recipe: Recipe, run: Run) -> None:
    """Measure what a run trained, and write its records."""
    records.write(recipe.evaluate(run), run.records)


def show(run_dirs: list[Path], page: Path) -> int:
    """Print the table of runs, write their page, and say what must not be."""
    content = pages.collect(run_dirs)
    pages.write(content, page)
    for table in terminal.tables(content):
        console.out.print(table)
    for violation in content.violations:
        console.say(f"error: {violation}")
    for failure in content.failures:
        console.say(f"warning: {failure}")
    console.say(f"report: {page}")
    return 1 if content.violations else 0
