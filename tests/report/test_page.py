"""The summary, its invariant, and the page: one file, escaped, nothing hidden."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from robustsuite.errors import InvalidInput
from robustsuite.report import figures, page, summary
from robustsuite.runs import records
from robustsuite.runs.records import Record


def row(kind: str, value: float, eps: str = "Linf(0.1)", **changes: Any) -> Record:
    """Give a record of a kind: clean, attacked or certified."""
    perturbation, method, metric = {
        "clean": ("none", "none", "accuracy"),
        "attacked": (eps, "PGD", "robust_accuracy"),
        "certified": (eps, "CROWN", "certified_accuracy"),
    }[kind]
    values: dict[str, Any] = {
        "domain": "vision",
        "subject": "net",
        "data": "digits",
        "perturbation": perturbation,
        "method": method,
        "metric": metric,
        "value": value,
        "low": 0.0,
        "high": 1.0,
        "n": 100,
        "seed": 0,
    }
    return Record(**(values | changes))


def consistent() -> list[Record]:
    """Give records that hold certified <= attacked <= clean."""
    return [
        row("clean", 0.9),
        row("attacked", 0.8),
        row("attacked", 0.7, method="AutoAttack"),
        row("certified", 0.6),
        row("certified", 0.5, method="IBP"),
        row("attacked", 0.4, eps="Linf(0.2)"),
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
        (row("attacked", 0.95, eps="Linf(0.3)"), "attacked (PGD) 0.9500 is above clean 0.9000"),
        (row("certified", 0.95, eps="L2(1)"), "certified (CROWN) 0.9500 is above clean 0.9000"),
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
        row("certified", 1.0, metric="certified_actions"),
        row("attacked", 400.0, metric="return", high=500.0),
    ]
    assert summary.violations([*consistent(), *others]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Linf(0.03)", ("Linf", 0.03)),
        ("L2(1e-05)", ("L2", 1e-5)),
        ("Linf(0.1..2.5)", ("Linf", 2.5)),
        ("none", None),
        ("Box(0, 1)", None),
    ],
)
def test_radius(text: str, expected: tuple[str, float] | None) -> None:
    assert summary.radius(text) == expected


def test_values_as_text() -> None:
    assert summary.text(row("clean", 0.987, low=0.95, high=0.99)) == "98.7% (95.0–99.0)"
    assert summary.text(row("clean", 0.5, low=float("nan"), high=float("nan")), digits=0) == "50%"
    returned = row("attacked", 312.25, metric="return", low=300.0, high=320.0)
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


def test_pages_without_curves_or_records(tmp_path: Path) -> None:
    records.write([row("clean", 0.9)], tmp_path / "a" / "records.parquet")
    records.write([], tmp_path / "b" / "records.parquet")
    html = page.render(page.collect([tmp_path]))
    assert "Curves over the radius" not in html
    assert "90.0%" in html


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="records.parquet is missing"):
        page.collect([tmp_path])
