"""The command `robustsuite report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from robustsuite import interruption
from robustsuite.errors import InvalidInput


def report(
    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIRS...")],
    /,
    *,
    out: Path = Path("report.html"),
) -> int:
    """Build one page about any number of runs: tables, curves over the radius, and every row's recipe.

    Exits with 1 where certified <= attacked <= clean does not hold; the page shows it too.

    Example: robustsuite report runs/* --out report.html

    Args:
        run_dirs: folders of runs, or folders of such folders.
        out: the page.
    """
    if not run_dirs:
        raise InvalidInput("no run given; as in: robustsuite report runs/*")
    with interruption.importing():
        from robustsuite.commands import results

    return results.show(list(run_dirs), out)
