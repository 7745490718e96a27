"""The command `robustsuite evaluate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from robustsuite import interruption
from robustsuite.arguments import check_device


def evaluate(
    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")],
    /,
    *,
    device: str | None = None,
) -> int:
    """Measure a trained run again and write its records and report.

    Example: robustsuite evaluate runs/digits-certified

    Args:
        run_dir: the run's folder.
        device: "cpu", "cuda", "cuda:1" ...; the recipe's by default.
    """
    with interruption.importing():
        from robustsuite import recipes
        from robustsuite.commands import console, results
        from robustsuite.runs.run import Run

    with console.drawing() as listener:
        run = Run.open(run_dir, listener=listener)
        recipe = recipes.load_json(run.recipe_file)
        recipe = replace(recipe, device=recipe.device if device is None else device)
        check_device(recipe.device)
        results.measure(recipe, run)
    return results.show([run.path], run.report)
