"""The command `robustsuite`: demo, list, train, evaluate, certify, report, bench.

Each command is a function; its arguments and docstring are its options and help. Heavy modules are imported inside
the commands, so that ``robustsuite --help`` is quick.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from robustsuite import interruption
from robustsuite.arguments import check_device
from robustsuite.errors import DataNotFound, InvalidInput, RobustsuiteError

if TYPE_CHECKING:
    from robustsuite.recipes import Recipe
    from robustsuite.runs.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 fine, 1 a result that must not be, 2 wrong input, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"] or ["--help"]
    with interruption.answered():
        try:
            return _run(given)
        except KeyboardInterrupt:
            return interruption.told()
        except BrokenPipeError:  # the reader, such as `head`, has gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except Exception as error:
            if debug:
                raise
            if interruption.came():  # a library made another error of it
                return interruption.told()
            if isinstance(error, RobustsuiteError):
                print(f"error: {_one_line(error)}", file=sys.stderr)
                return 2
            # The last resort: one line for people.
            print(f"error: {type(error).__name__}: {_one_line(error)} (--debug shows where)", file=sys.stderr)
            return 1


def _run(given: Sequence[str]) -> int:
    if given[0] == "train" and len(given) > 1 and not given[1].startswith("-"):
        return _train_with_fields(given[1], given[2:])
    return int(
        tyro.extras.subcommand_cli_from_dict(
            _COMMANDS, args=list(given), prog="robustsuite", description=_DESCRIPTION
        )
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_DESCRIPTION = """Train, attack, certify and report robustness of RL agents, language models and vision models.

Begin with: robustsuite demo

Every command has --help with an example; --debug shows the traceback of an error."""


def demo(
    *,
    out: Path = Path("runs/demo"),
    seed: int = 0,
    device: str = "cpu",
    jobs: int | None = None,
    resume: bool = False,
) -> int:
    """Train, attack and certify one small model of each domain, print one table, write one report.

    Takes a few minutes on two cores.

    Example: robustsuite demo --seed 1

    Args:
        out: folder of the demo's runs and of its report.html.
        seed: of everything random.
        device: "cpu", "cuda", "cuda:1" ...
        jobs: runs at a time, >= 1, each on one thread; the number of cores by default.
        resume: continue a demo that was interrupted.
    """
    with interruption.importing():
        from robustsuite.commands import demonstration

        check_device(device)
    return demonstration.run(
        out, seed=seed, device=device, jobs=os.cpu_count() or 1 if jobs is None else jobs, resume=resume
    )


def list_recipes() -> int:
    """List the recipes of all installed domains, with what they cost and which data they need.

    Example: robustsuite list
    """
    with interruption.importing():
        from robustsuite import recipes
        from robustsuite.commands import console

        found = recipes.discover()
    names = [name for domain in found.domains.values() for name in domain.recipes]
    width = max(map(len, names), default=0)
    for domain in found.domains.values():
        for family in dict.fromkeys(entry.family for entry in domain.recipes.values()):
            data = ", ".join(source.describe() for source in family.data)
            console.out.print(
                f"[bold]{domain.name}, {family.title}[/bold]  [dim]{data}[/dim]", soft_wrap=True
            )
            for entry in family.entries.values():
                mark = "*" if entry.name in domain.demo else " "
                line = f"{mark} {entry.name:{width}s} {entry.minutes:4g} min  {entry.description}"
                console.out.print(line, soft_wrap=True, markup=False)
    console.out.print(
        "* stands in the demo; minutes are those of training and measuring on one core", soft_wrap=True
    )
    for line in found.failures.values():
        console.say(line)
    return 1 if found.failures else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
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
    place: Annotated[_Place, tyro.conf.arg(name="")],
    seed: int | None = None,
    device: str | None = None,
) -> int:
    """Train a recipe, measure it, and write runs/NAME with recipe, checkpoints, metrics, records and report.

    Example: robustsuite train digits-certified --seed 1

    'robustsuite train RECIPE --help' shows the recipe's own fields: each can be set, as in --epochs 5.
    'robustsuite list' shows the recipes.

    Args:
        recipe: its name.
        place: where the run is written.
        seed: of everything random; the recipe's by default.
        device: "cpu", "cuda", "cuda:1" ...; the recipe's by default.
    """
    with interruption.importing():
        from robustsuite import recipes

        found = recipes.discover().find(recipe)()
    chosen = replace(
        found,
        seed=found.seed if seed is None else seed,
        device=found.device if device is None else device,
    )
    return _train(chosen, place)


def _train_with_fields(name: str, arguments: Sequence[str]) -> int:
    """Parse ``train NAME ...`` with the fields of that recipe as options."""
    with interruption.importing():
        from robustsuite import recipes

        recipe = recipes.discover().find(name)()

    def command(place: _Place, recipe: Any) -> tuple[Recipe, _Place]:
        return recipe, place

    command.__annotations__ = {
        "place": Annotated[_Place, tyro.conf.arg(name="")],
        "recipe": Annotated[type(recipe), tyro.conf.arg(name="")],
    }
    command.__defaults__ = (_Place(), recipe)
    chosen, place = tyro.cli(
        command,
        args=list(arguments),
        prog=f"robustsuite train {name}",
        description=f"{recipe.description}\n\nExample: robustsuite train {name} --seed 1 --name {name}-1",
        config=(tyro.conf.AvoidSubcommands,),
        registry=_registry(),
    )
    return _train(chosen, place)


def _registry() -> tyro.constructors.ConstructorRegistry:
    """Teach tyro numbers that may be nested lists, such as a perturbation's radius per feature."""
    from robustsuite.perturbations.features import PerFeature

    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def per_feature(
        info: tyro.constructors.PrimitiveTypeInfo,
    ) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
        if info.type != PerFeature:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="FLOAT|LIST",
            instance_from_str=lambda texts: _numbers(texts[0]),
            is_instance=lambda value: isinstance(value, float | int | tuple),
            str_from_instance=lambda value: [json.dumps(value)],
        )

    return registry


def _numbers(text: str) -> Any:
    """Read a number or nested lists of numbers."""
    try:
        return _tuples(json.loads(text))
    except RecursionError:
        raise ValueError("lists nested too deeply") from None


def _tuples(value: Any) -> Any:
    """Turn nested lists of numbers into nested tuples."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(  # noqa: TRY004  tyro shows a ValueError as a wrong argument
            f"expected a number or nested lists of numbers, got {value!r}"
        )
    return float(value)


def _train(recipe: Recipe, place: _Place) -> int:
    with interruption.importing():
        from robustsuite.commands import console
        from robustsuite.runs.run import Run, plain_name

        check_device(recipe.device)
    path = place.out / plain_name(recipe.name if place.name is None else place.name)
    with console.drawing() as listener:
        run = Run.create(path, recipe, resume=place.resume, listener=listener)
        try:
            recipe.train(run)
            _measure(recipe, run)
        except (InvalidInput, DataNotFound):
            run.withdraw()
            raise
        except KeyboardInterrupt:
            options = f" --out {place.out}" if place.out != Path("runs") else ""
            options += f" --name {place.name}" if place.name else ""
            console.say(
                f"interrupted; continue with: robustsuite train {recipe.name}{options} --resume (and the same options)"
            )
            return interruption.EXIT_CODE
        finally:
            run.close()
    return _show([run.path], run.report)


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
        from robustsuite.commands import console
        from robustsuite.runs.run import Run

    with console.drawing() as listener:
        run = Run.open(run_dir, listener=listener)
        recipe = recipes.load_json(run.recipe_file)
        recipe = replace(recipe, device=recipe.device if device is None else device)
        check_device(recipe.device)
        _measure(recipe, run)
    return _show([run.path], run.report)


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
    return _show(list(run_dirs), out)


def certify(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NET.onnx SPEC.vnnlib")],
    /,
    *,
    timeout: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    sound: bool = False,
    results: Path | None = None,
    resume: bool = False,
) -> int:
    """Decide whether a network can do what a property calls unsafe: prints unsat, sat, unknown or timeout.

    unsat: proved that no input is unsafe. By default the proof is about the network in real numbers, up to the
    rounding that VNN-COMP's rules accept too; with --sound it holds for the network as float32 computes it.

    sat: an unsafe input was found; it is printed below, with the outputs that the network gives for it. It satisfies
    the property as it is written, exactly and with no tolerance, where VNN-COMP's rules leave one. Where onnxruntime
    is installed (it need not be), its outputs do so too. Of an input whose bounds leave no number of the network's
    dtype between them, such as X_0 = 0.1, the decimal is printed, and the network gets the number next to it.

    One CSV file of instances (network, property, timeout; file names relative to it) may be given instead: then a
    line per instance, each decided in a process of its own. All files may be gzipped.

    Example: robustsuite certify network.onnx property.vnnlib --timeout 60

    Args:
        files: an ONNX network and a VNN-LIB property, or one CSV file of instances.
        timeout: seconds for each instance; by default what the CSV file says, else 60. Starting up does not count.
        device: "cpu", "cuda", "cuda:1" ...
        seed: of the search for counterexamples.
        sound: bound what rounding does to the network, too, under the assumptions that robustsuite.bounds.passes.rounding
            lists; takes longer.
        results: CSV file to write, for a CSV of instances: network, property, result, seconds.
        resume: keep what `results` holds from an interrupted call, and decide the rest.
    """
    if len(files) == 2 and (results is not None or resume):
        raise InvalidInput("--results and --resume are for a CSV file of instances")
    if len(files) not in (1, 2):
        raise InvalidInput(
            f"{len(files)} files given; expected NET.onnx SPEC.vnnlib, or one CSV of instances"
        )
    check_device(device)
    if len(files) == 1:
        from robustsuite.commands import certificate_lists

        return certificate_lists.decide_all(
            files[0],
            timeout=timeout,
            device=device,
            seed=seed,
            sound=sound,
            results=results,
            resume=resume,
        )
    from robustsuite.formats import decision as certificates

    seconds = 60.0 if timeout is None else timeout
    print(
        certificates.decide_files(*files, timeout=seconds, device=device, seed=seed, sound=sound), flush=True
    )
    return 0


def bench(
    *,
    device: str = "cpu",
    seed: int = 0,
    batches: tuple[int, ...] = (1, 32),
    repeats: int = 3,
) -> int:
    """Time the bound methods on this machine: seconds and mean width of the bounds, per net and batch.

    Example: robustsuite bench --batches 1 32 256

    Args:
        device: "cpu", "cuda", "cuda:1" ...
        seed: of the nets' weights and the inputs.
        batches: batch sizes, each >= 1.
        repeats: measurements of each, of which the fastest counts.
    """
    with interruption.importing():
        from robustsuite.commands import benchmark, console

        check_device(device)
    with console.drawing() as listener:
        rows = benchmark.run(device=device, seed=seed, batches=batches, repeats=repeats, listener=listener)
    console.out.print(benchmark.table(rows))
    return 0


def _measure(recipe: Recipe, run: Run) -> None:
    from robustsuite.runs import records

    records.write(recipe.evaluate(run), run.records)


def _show(run_dirs: list[Path], page: Path) -> int:
    """Print the table of runs, write their page, and say what must not be."""
    with interruption.importing():
        from robustsuite.commands import console
        from robustsuite.report import page as pages
        from robustsuite.report import terminal

    content = pages.collect(run_dirs)
    pages.write(content, page)
    for table in terminal.tables(content):
        console.out.print(table)
    for violation in content.violations:
        console.say(f"error: {violation}")
    console.say(f"report: {page}")
    return 1 if content.violations else 0


_COMMANDS: dict[str, Callable[..., int]] = {
    "demo": demo,
    "list": list_recipes,
    "train": train,
    "evaluate": evaluate,
    "certify": certify,
    "report": report,
    "bench": bench,
}
