"""The command `robustsuite train`, and what all commands share that run a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from robustsuite import interruption
from robustsuite.arguments import check_device
from robustsuite.errors import DataNotFound, InvalidInput

if TYPE_CHECKING:
    from robustsuite.recipes import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run is written.

    Args:
        out: folder of the runs.
        name: of the run's folder, one plain folder name; the recipe's name by default.
        resume: continue the run from its last checkpoint.
    """

    out: Path = Path("runs")
    name: str | None = None
    resume: bool = False


def train(
    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")],
    /,
    *,
    place: Annotated[Place, tyro.conf.arg(name="")],
    seed: int | None = None,
    device: str | None = None,
) -> int:
    """Train a recipe, measure it, and write runs/NAME with recipe, checkpoints, metrics, records and report.

    Example: robustsuite train digits-certified --seed 1

    'robustsuite train RECIPE --help' shows the recipe's own fields. Each can be set behind the recipe's name; where the end
    of an option's name is no other's, it will do: --epochs 5 for --training.epochs 5. 'robustsuite list' shows the recipes.

    Args:
        recipe: its name.
        place: where the run is written.
        seed: of everything random; the recipe's by default.
        device: "cpu", "cuda", "cuda:1" ...; the recipe's by default.
    """
    with interruption.importing():
        found = _found(recipe, command="train")
    chosen = replace(
        found,
        seed=found.seed if seed is None else seed,
        device=found.device if device is None else device,
    )
    return _run(chosen, place, command="train")


def with_fields(name: str, arguments: Sequence[str], *, command: str) -> int:
    """Parse ``COMMAND NAME ...`` with the fields of that recipe as options, and run it."""
    with interruption.importing():
        from robustsuite.commands import options

        recipe = _found(name, command=command)
    chosen, place = options.parse(
        recipe,
        Place(),
        arguments,
        prog=f"robustsuite {command} {name}",
        description=f"{recipe.description}\n\nExample: robustsuite {command} {name} --seed 1 --name {name}-1",
    )
    return _run(chosen, place, command=command)


def _found(name: str, *, command: str) -> Recipe:
    """Make the recipe of a name.

    Raises:
        InvalidInput: there is none, or another command runs it.
    """
    from robustsuite import recipes

    entry = recipes.discover().find(name)
    if entry.command != command:
        raise InvalidInput(
            f"recipe '{name}' is not for '{command}'; start it with: robustsuite {entry.command} {name}"
        )
    return entry()


def _run(recipe: Recipe, place: Place, *, command: str) -> int:
    with interruption.importing():
        from robustsuite.commands import console, results
        from robustsuite.runs.run import Run, plain_name

        check_device(recipe.device)
    path = place.out / plain_name(recipe.name if place.name is None else place.name)
    with console.drawing() as listener:
        run = Run.create(path, recipe, resume=place.resume, listener=listener)
        try:
            recipe.train(run)
            results.measure(recipe, run)
        except (InvalidInput, DataNotFound):
            run.withdraw()
            raise
        except KeyboardInterrupt:
            given = f" --out {place.out}" if place.out != Path("runs") else ""
            given += f" --name {place.name}" if place.name else ""
            again = f"robustsuite {command} {recipe.name}{given} --resume (and the same options)"
            console.say(f"interrupted; continue with: {again}")
            return interruption.EXIT_CODE
        finally:
            run.close()
    return results.show([run.path], run.report)
