"""The summary, its invariant, and the page: one file, escaped, nothing hidden."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from robustsuite.errors import InvalidInput
from robustsuite.evaluation import ACCURACY, CERTIFIED_ACCURACY, ROBUST_ACCURACY
from robustsuite.report import figures, page, summary, terminal
from robustsuite.runs import records
from robustsuite.runs.metric import SHARE, Metric
from robustsuite.runs.records import Record

RETURN = Metric(name="return", kind="attacked", unit="return")
COST = {
    kind: Metric(name="cost", kind=kind, unit="", better="lower")
    for kind in ("clean", "attacked", "certified")
}
GAP = Metric(name="parity_gap", kind="other", unit=SHARE, better="lower")


def row(kind: str, value: float, eps: float = 0.1, norm: str = "Linf", **changes: Any) -> Record:
    """Give a record of a kind: clean, attacked or certified."""
    method, metric = {
        "clean": ("none", ACCURACY),
        "attacked": ("PGD", ROBUST_ACCURACY),
        "certified": ("CROWN", CERTIFIED_ACCURACY),
    }[kind]
    threat: dict[str, Any] = {"perturbation": f"{norm}({eps})", "norm": norm, "radius": eps}
    values: dict[str, Any] = {
        "domain": "vision",
        "subject": "net",
        "data": "digits",
        "method": method,
        "metric": metric,
        "value": value,
        "low": -1e3,
        "high": 1e3,
        "n": 100,
        "seed": 0,
    }
    base = {"perturbation": "none"} if kind == "clean" else threat
    return Record(**(base | values | changes))


def consistent() -> list[Record]:
    """Give records that hold certified <= attacked <= clean."""
    return [
        row("clean", 0.9),
        row("attacked", 0.8),
        row("attacked", 0.7, method="AutoAttack"),
        row("certified", 0.6),
        row("certified", 0.5, method="IBP"),
        row("attacked", 0.4, eps=0.2),
    ]


def test_rows_take_the_strongest_attack_and_the_best_certificate() -> None:
    first, second = summary.rows(consistent())
    assert first.clean is not None
    assert first.attacked is not None
    assert first.certified is not None
    assert (first.clean.value, first.attacked.value, first.certified.value) == (0.9, 0.7, 0.6)
    assert second.perturbation == "Linf(0.2)"
    assert second.certified is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (row("certified", 0.75), "certified (CROWN) 0.7500 is above attacked (AutoAttack) 0.7000"),
        (row("attacked", 0.95, eps=0.3), "attacked (PGD) 0.9500 is above clean 0.9000"),
        (row("certified", 0.95, eps=1, norm="L2"), "certified (CROWN) 0.9500 is above clean 0.9000"),
        (row("certified", 0.72, n=50), "(measured on 50 and 100 examples)"),
    ],
)
def test_what_cannot_be_true_is_found_and_shown(change: Record, message: str, tmp_path: Path) -> None:
    assert summary.violations(consistent()) == []
    [line] = summary.violations([*consistent(), change])
    assert message in line
    records.write([*consistent(), change], tmp_path / "records.parquet")
    content = page.collect([tmp_path])
    assert content.violations == (line,)
    assert "1 result cannot be true" in page.render(content)


def test_other_subjects_seeds_and_metrics_are_not_compared() -> None:
    others = [
        row("certified", 0.95, subject="other"),
        row("certified", 0.95, seed=1),
        row("certified", 0.95, data="mnist"),
        row("certified", 1.0, metric=Metric(name="certified_actions", kind="certified", unit=SHARE)),
        row("attacked", 400.0, metric=RETURN),
    ]
    assert summary.violations([*consistent(), *others]) == []


def test_a_quantity_that_should_be_low_is_compared_the_other_way_round() -> None:
    costs = [
        row("clean", 1.0, metric=COST["clean"]),
        row("attacked", 2.0, metric=COST["attacked"]),
        row("attacked", 3.0, metric=COST["attacked"], method="longer"),
        row("certified", 4.0, metric=COST["certified"]),
    ]
    [found] = summary.rows(costs)
    assert found.attacked is costs[2]
    assert summary.violations(costs) == []
    [line] = summary.violations([*costs, row("certified", 2.5, metric=COST["certified"])])
    assert (
        "certified (CROWN) 2.5000 is below attacked (longer) 3.0000; expected certified >= attacked" in line
    )


def test_a_return_may_be_higher_under_attack_but_not_above_its_certificate() -> None:
    clean = row("clean", 300.0, metric=replace(RETURN, kind="clean"))
    attacked = row("attacked", 310.0, metric=RETURN)
    assert summary.violations([clean, attacked]) == []
    [line] = summary.violations([attacked, row("certified", 320.0, metric=replace(RETURN, kind="certified"))])
    assert "return of 'net' on digits (seed 0) under Linf(0.1)" in line


def test_every_metric_is_kept(tmp_path: Path) -> None:
    """A second clean quantity and a figure of another kind stand beside the accuracy: on the page and on the terminal."""
    balanced = Metric(name="balanced_accuracy", kind="clean", unit=SHARE)
    everything = [*consistent(), row("clean", 0.85, metric=balanced), row("clean", 0.031, metric=GAP)]
    assert [found.quantity for found in summary.rows(everything)] == [
        "accuracy",
        "accuracy",
        "balanced_accuracy",
    ]
    assert summary.others(everything) == everything[-1:]
    records.write(everything, tmp_path / "records.parquet")
    assert records.read(tmp_path / "records.parquet") == everything
    content = page.collect([tmp_path])
    console = Console(width=80, record=True, file=io.StringIO())
    for table in terminal.tables(content):
        console.print(table)
    for shown in (page.render(content), console.export_text()):
        for text in ("balanced accuracy", "85", "parity gap", "3.1%"):
            assert text in shown


def test_values_as_text() -> None:
    assert summary.text(row("clean", 0.987, low=0.95, high=0.99)) == "98.7% (95.0–99.0)"
    assert summary.text(row("clean", 0.5, low=float("nan"), high=float("nan")), digits=0) == "50%"
    returned = row("attacked", 312.25, metric=RETURN, low=300.0, high=320.0)
    assert summary.text(returned) == "312.2 (300.0–320.0)"


def test_curves_share_axes_and_name_no_colour_of_their_own() -> None:
    [figure] = figures.curves(
        [*consistent(), row("clean", 0.8, subject="b"), row("attacked", 0.1, subject="b")]
    )
    assert [panel.title for panel in figure.panels] == ["net", "b"]
    assert figure.kinds == ("clean", "attacked", "certified")
    for panel in figure.panels:
        assert set(re.findall(r"#[0-9a-fA-F]{6}\b", panel.svg)) == set()
        assert "var(--attacked)" in panel.svg
    names = [set(re.findall(r' id="([^"]+)"', panel.svg)) & _used(panel.svg) for panel in figure.panels]
    assert not names[0] & names[1]


def _used(svg: str) -> set[str]:
    """Give the names that an SVG refers to: they must differ between the drawings of one page."""
    return set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", svg))


class _Balance(HTMLParser):
    """Checks that tags close in order, and collects addresses."""

    VOID = frozenset({"meta", "input", "br", "link", "img", "use", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_self_contained_and_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    records.write(
        [row("clean", 0.9, subject=evil), row("attacked", 0.5, subject=evil)], tmp_path / "records.parquet"
    )
    (tmp_path / "recipe.json").write_text('{"name": "</pre><b>"}')
    html = page.render(page.collect([tmp_path]))
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    assert all(address.startswith("#") for address in parser.addresses)
    assert evil not in html
    assert "</pre><b>" not in html
    assert "prefers-color-scheme: dark" in html


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "[red]net[/red]", "[/]", "a & b \"c\" 'd'"])
def test_names_from_data_are_shown_as_they_are(evil: str, tmp_path: Path) -> None:
    """In every column, on the page and on the terminal."""
    own = Metric(name=evil, kind="attacked", unit=evil, quantity=evil)
    names: dict[str, Any] = dict.fromkeys(
        ("domain", "subject", "data", "perturbation", "method", "recipe", "versions"), evil
    )
    everything = [
        row("attacked", 0.5, **names, norm=evil),
        row("attacked", 0.5, **names, metric=own),
        row("clean", 0.1, **names, metric=replace(own, kind="other")),
    ]
    records.write(everything, tmp_path / "records.parquet")
    content = page.collect([tmp_path], title=evil)
    html = page.render(content)
    if "<" in evil:
        assert evil not in html
    parser = _Balance()
    parser.feed(html)
    assert parser.open == []
    console = Console(width=400, record=True, file=io.StringIO())
    for table in terminal.tables(content):
        console.print(table)
    assert console.export_text().count(evil) >= 6


def test_units_are_not_mixed(tmp_path: Path) -> None:
    """A share and a return of one quantity: two rows, two tables, two figures, each with its own clean value."""
    share = {kind: Metric(name="reward", kind=kind, unit=SHARE) for kind in ("clean", "attacked")}
    count = {kind: replace(metric, unit="points") for kind, metric in share.items()}
    everything = [
        row("clean", 0.9, metric=share["clean"]),
        row("clean", 300.0, metric=count["clean"]),
        row("attacked", 0.5, metric=share["attacked"]),
        row("attacked", 200.0, metric=count["attacked"]),
    ]
    assert [(found.clean, found.attacked) for found in summary.rows(everything)] == [
        (everything[0], everything[2]),
        (everything[1], everything[3]),
    ]
    assert summary.violations(everything) == []
    assert [figure.title for figure in figures.curves(everything)] == [
        "reward (share) on digits",
        "reward (points) on digits",
    ]
    records.write(everything, tmp_path / "records.parquet")
    tables = terminal.tables(page.collect([tmp_path]))
    assert [table.title for table in tables] == [
        "vision, digits: reward (share)",
        "vision, digits: reward (points)",
    ]
    assert [len(table.rows) for table in tables] == [1, 1]


def test_pages_without_curves_or_records(tmp_path: Path) -> None:
    records.write([row("clean", 0.9)], tmp_path / "a" / "records.parquet")
    records.write([], tmp_path / "b" / "records.parquet")
    html = page.render(page.collect([tmp_path]))
    assert 'id="curves"' not in html
    assert "90.0%" in html


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="records.parquet is missing"):
        page.collect([tmp_path])
