"""The command `robustsuite evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from robustsuite import interruption
from robustsuite.arguments import check_device
from robustsuite.errors import InvalidInput


def evaluate(
    run_dir: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")],
    /,
    *,
    device: str | None = None,
) -> int:
    """Measure a trained run again and write its records and report.

    Example: robustsuite evaluate runs/digits-certified

    Agents, of a run or published by others, can be measured under other attacks, into a folder of its own:
    robustsuite evaluate runs/cartpole-dqn --attacks none,pgd --eps 0.05 0.1 --episodes 10 --seed 1000 --out DIR
    ('robustsuite evaluate PATH --help' shows all options).

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a measurement is written.

    Args:
        out: its folder; "runs/NAME-evaluation" by default. What an earlier measurement left there is replaced.
    """

    out: Path | None = None


def with_options(path: Path, arguments: Sequence[str]) -> int:
    """Parse ``evaluate PATH ...``: a run's device, or the fields of the measurement that a domain makes of the path."""
    if _only_device(arguments) and (path / "recipe.json").is_file():
        return int(tyro.cli(evaluate, args=[str(path), *arguments], prog="robustsuite evaluate"))
    with interruption.importing():
        from robustsuite import recipes
        from robustsuite.commands import console, options, results
        from robustsuite.runs.run import Run

        recipe = recipes.discover().evaluation(path)
    chosen, where = options.parse(
        recipe,
        Where(),
        arguments,
        prog=f"robustsuite evaluate {path}",
        description=f"Measure '{path}'.\n\nExample: robustsuite evaluate {path} --seed 1000 --out DIR",
    )
    check_device(chosen.device)
    folder = Path("runs") / chosen.name if where.out is None else where.out
    with console.drawing() as listener:
        run = Run.create(folder, chosen, replace=True, listener=listener)
        try:
            results.measure(chosen, run)
        except InvalidInput:
            run.withdraw()
            raise
        finally:
            run.close()
    return results.show([run.path], run.report)


def _only_device(arguments: Sequence[str]) -> bool:
    given = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    return set(given) <= {"--device"}
