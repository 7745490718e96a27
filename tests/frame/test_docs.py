"""The pages of docs: their examples run, and their tables are complete."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from robustsuite.bounds.rules import TABLE

from ..bounds.cases import NETWORKS, OPERATORS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def rules() -> Iterator[None]:
    """Take rules away again that a page adds."""
    before = dict(TABLE)
    yield
    TABLE.clear()
    TABLE.update(before)


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_examples_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(page.stem)
    monkeypatch.setitem(
        sys.modules, page.stem, module
    )  # where dataclasses look for the names in their annotations
    text = page.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        lines = text[: match.start(1)].count("\n")  # so that a traceback shows the page's line
        exec(compile("\n" * lines + match.group(1), str(page), "exec"), vars(module))  # noqa: S102


def test_every_operator_is_in_the_table() -> None:
    page = (DOCS / "operators.md").read_text()
    missing = [case.name for case in OPERATORS + NETWORKS if f"| {case.name} |" not in page]
    assert not missing, "run scripts/operator_table.py"
