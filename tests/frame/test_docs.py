"""The pages of docs: their examples run, and their tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

from ..bounds.cases import NETWORKS, OPERATORS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_examples_run() -> None:
    for page in sorted(DOCS.glob("*.md")):
        names: dict[str, object] = {"__name__": page.stem}
        text = page.read_text()
        for match in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            lines = text[: match.start(1)].count("\n")  # so that a traceback shows the page's line
            exec(compile("\n" * lines + match.group(1), str(page), "exec"), names)  # noqa: S102


def test_every_operator_is_in_the_table() -> None:
    page = (DOCS / "operators.md").read_text()
    missing = [case.name for case in OPERATORS + NETWORKS if f"| {case.name} |" not in page]
    assert not missing, "run scripts/operator_table.py"
