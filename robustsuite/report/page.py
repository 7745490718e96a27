"""The HTML page about any number of runs: one file, no network, light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import jinja2

from robustsuite import recipes
from robustsuite.arguments import check_kind
from robustsuite.errors import InvalidInput
from robustsuite.report import figures, summary
from robustsuite.runs import files, records
from robustsuite.runs.records import Record
from robustsuite.runs.run import read_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What one run left.

    Args:
        name: of the folder.
        path: of the folder, as given.
        recipe: its recipe.json, as text.
        records: its records.
    """

    name: str
    path: Path
    recipe: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a report is about.

    Args:
        title: of the page and the table.
        runs: in the order given.
        violations: one line for each breach of certified <= attacked <= clean.
        figures: curves, and what domains draw.
        failures: one line for each part of a domain that did not work.
    """

    title: str
    runs: tuple[RunResult, ...]
    violations: tuple[str, ...]
    figures: tuple[figures.Figure, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def records(self) -> list[Record]:
        """The records of all runs."""
        return [record for run in self.runs for record in run.records]


def collect(paths: Sequence[Path], *, title: str | None = None) -> Content:
    """Read runs.

    Args:
        paths: folders of runs, or folders of such folders.
        title: the run's name, or "N runs", by default.

    Raises:
        InvalidInput: a folder without runs, or a damaged recipe or records.
    """
    folders: dict[Path, None] = {}
    for path in map(files.checked_path, paths):
        found = [path] if (path / "records.parquet").is_file() else sorted(_below(path))
        if not found:
            raise InvalidInput(
                f"no run at '{path}' (records.parquet is missing); 'robustsuite train RECIPE' makes one"
            )
        folders.update(dict.fromkeys(found))
    runs = tuple(_read(folder) for folder in folders)
    if title is None:
        title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    # Within a run: two runs of one subject may have measured different examples.
    found_violations = tuple(line for run in runs for line in summary.violations(run.records))
    everything = [record for run in runs for record in run.records]
    brought, failures = _brought(everything)
    return Content(
        title=title,
        runs=runs,
        violations=found_violations,
        figures=(*figures.curves(everything), *brought),
        failures=tuple(failures),
    )


def write(content: Content, path: Path) -> None:
    """Write the page, in one step.

    Raises:
        NotWritable: no permission to write there.
    """
    files.write_text(path, render(content))


def render(content: Content) -> str:
    """Give the page as HTML text."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = _number
    source = resources.files("robustsuite.report").joinpath("template.html.j2").read_text(encoding="utf-8")
    everything = content.records
    return environment.from_string(source).render(
        content=content,
        rows=summary.rows(everything),
        others=summary.others(everything),
        columns=records.COLUMNS,
        versions=sorted({record.versions for record in everything}),
        domains=sorted({record.domain for record in everything}),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        text=summary.text,
        value=summary.value_text,
        interval=summary.interval_text,
        spaced=summary.spaced,
        titled=summary.titled,
    )


def _brought(everything: Sequence[Record]) -> tuple[list[figures.Figure], list[str]]:
    """Give the figures that domains bring, and a line for each domain or function that fails: the rest is shown."""
    found = recipes.discover()
    about = {record.domain for record in everything}
    drawn: list[figures.Figure] = []
    failures = [line for name, line in found.failures.items() if name in about]
    for domain in found.domains.values():
        for draw in domain.figures:
            try:
                own = list(draw(everything))
                for figure in own:
                    check_kind(figure, figures.Figure, "a figure", "a report.figures.Figure(...)")
            except Exception as error:  # noqa: BLE001  whatever a plug-in does, the others are shown
                name = getattr(draw, "__name__", type(draw).__name__)
                reason = (str(error).splitlines() or [""])[0]
                failures.append(
                    f"figures '{name}' of the domain '{domain.name}' are left out: {type(error).__name__}: {reason}"
                )
            else:
                drawn += own
    return drawn, failures


def _below(path: Path) -> list[Path]:
    return [file.parent for file in path.glob("**/records.parquet")] if path.is_dir() else []


def _read(folder: Path) -> RunResult:
    recipe = folder / "recipe.json"
    return RunResult(
        name=folder.resolve().name,
        path=folder,
        recipe=read_recipe(recipe) if recipe.exists() else "",
        records=tuple(records.read(folder / "records.parquet")),
    )


def _number(value: float) -> str:
    """Show a number with up to four digits, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.4g}"
