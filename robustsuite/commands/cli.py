"""The command `robustsuite`: finds the command that is asked for, and answers for what goes wrong.

Each command is a function in a file of this folder, or of a domain's `COMMANDS`; its arguments and docstring are its options
and help. Heavy modules are imported inside the commands, so that ``robustsuite --help`` is quick.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from robustsuite import interruption
from robustsuite.commands.bench import bench
from robustsuite.commands.certify import certify
from robustsuite.commands.demo import demo
from robustsuite.commands.evaluate import evaluate, with_options
from robustsuite.commands.list import list_recipes
from robustsuite.commands.report import report
from robustsuite.commands.train import train, with_fields
from robustsuite.errors import InvalidInput, RobustsuiteError

COMMANDS: dict[str, Callable[..., int]] = {
    "demo": demo,
    "list": list_recipes,
    "train": train,
    "evaluate": evaluate,
    "certify": certify,
    "report": report,
    "bench": bench,
}
"""The suite's own commands by name."""


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
    name = given[0]
    commands = COMMANDS if name in COMMANDS else {**COMMANDS, **_brought()}
    if name not in commands and not name.startswith("-"):
        near = difflib.get_close_matches(name, commands, n=2)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise InvalidInput(f"unknown command '{name}'; {hint}'robustsuite --help' shows all")
    if name == "evaluate" and len(given) > 2 and not given[1].startswith("-"):
        return with_options(Path(given[1]), given[2:])
    with_recipe = len(given) > 1 and not given[1].startswith("-")
    if with_recipe and (name == "train" or (name in commands and name in _running())):
        return with_fields(given[1], given[2:], command=name)
    return int(
        tyro.extras.subcommand_cli_from_dict(
            commands, args=list(given), prog="robustsuite", description=_DESCRIPTION
        )
    )


def _brought() -> dict[str, Callable[..., int]]:
    """Give the commands that domains bring."""
    with interruption.importing():
        from robustsuite import recipes

        return recipes.discover().commands


def _running() -> set[str]:
    """Give the names of commands that run recipes."""
    with interruption.importing():
        from robustsuite import recipes

        return {
            entry.command
            for domain in recipes.discover().domains.values()
            for entry in domain.recipes.values()
        }


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_DESCRIPTION = """Train, attack, certify and report robustness of RL agents, language models and vision models.

Begin with: robustsuite demo

Every command has --help with an example; --debug shows the traceback of an error."""
