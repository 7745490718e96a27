"""A recipe's fields as options of the command line, by their full names or by the ends that are no other's."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

import tyro

from robustsuite.errors import InvalidInput
from robustsuite.perturbations.features import PerFeature
from robustsuite.recipes import Recipe

_Place = TypeVar("_Place")

_TYROS = "--tyro-"  # the parser's own options


def parse(
    recipe: Recipe, place: _Place, arguments: Sequence[str], *, prog: str, description: str
) -> tuple[Recipe, _Place]:
    """Read options behind a recipe's name.

    Args:
        recipe: gives the options and their defaults.
        place: a dataclass with further options.
        arguments: what was given.
        prog, description: for the help.

    Returns:
        The recipe and the place with what was given.

    Raises:
        InvalidInput: an unknown name, or a short one that stands for several options.
    """

    def command(place: Any, recipe: Any) -> tuple[Recipe, _Place]:
        return recipe, place

    command.__annotations__ = {
        "place": Annotated[type(place), tyro.conf.arg(name="")],
        "recipe": Annotated[type(recipe), tyro.conf.arg(name="")],
    }
    command.__defaults__ = (place, recipe)
    known = [*names(place), *names(recipe)]
    return tyro.cli(
        command,
        args=lengthened(arguments, known, prog=prog),
        prog=prog,
        description=f"{description}{_told(known)}",
        config=(tyro.conf.AvoidSubcommands,),
        registry=_registry(),
    )


def lengthened(arguments: Iterable[str], known: Sequence[str], *, prog: str) -> list[str]:
    """Put full names of options in the place of their ends.

    Args:
        arguments: of a command line.
        known: all full names, with their dashes.
        prog: the command, for messages.

    Raises:
        InvalidInput: an end of several names, or of none.

    Example:
        >>> lengthened(
        ...     ["--epochs", "5", "--rate=1"], ["--training.epochs", "--optimizer.rate", "--seed"], prog="train"
        ... )
        ['--training.epochs', '5', '--optimizer.rate=1']
    """
    found = []
    for argument in arguments:
        given, equals, value = argument.partition("=")
        plain = given.replace("_", "-")
        if given.startswith("--") and plain not in (*known, "--", "--help") and not plain.startswith(_TYROS):
            full = [name for name in known if name.endswith(f".{plain[2:]}")]
            if len(full) > 1:
                raise InvalidInput(f"option '{given}' may be {' or '.join(full)}; give one of these names")
            if not full:
                raise InvalidInput(
                    f"unknown option '{given}'; {_near(plain, known)}'{prog} --help' shows all options"
                )
            argument = f"{full[0]}{equals}{value}"
        found.append(argument)
    return found


def short_names(known: Sequence[str]) -> dict[str, str]:
    """Give the ends of one word that are no other name's, with the full names that they mean.

    Example:
        >>> short_names(["--seed", "--a.rate", "--b.rate", "--b.steps", "--c.seed"])
        {'--steps': '--b.steps'}
    """
    ends = [f"--{name.rpartition('.')[2]}" for name in known if "." in name]
    full = [name for name in known if "." in name]
    return {
        end: name for end, name in zip(ends, full, strict=True) if ends.count(end) == 1 and end not in known
    }


def _told(known: Sequence[str]) -> str:
    """Give the part of the help that says what short names mean."""
    places: dict[str, list[str]] = {}
    for end, name in short_names(known).items():
        if not end.startswith("--no-"):
            places.setdefault(name[2:].rpartition(".")[0], []).append(end)
    lines = [f"  of {place}: {' '.join(ends)}" for place, ends in places.items()]
    return "\n".join(["", "", "Short names of options below:", *lines]) if lines else ""


def _near(given: str, known: Sequence[str]) -> str:
    """Give a question about the names that are spelled alike, short and full ones."""
    short = short_names(known)
    near = difflib.get_close_matches(given, [*short, *known], n=2, cutoff=0.75)
    told = [f"{name} ({short[name]})" if name in short else name for name in near]
    return f"did you mean {' or '.join(told)}? " if told else ""


def names(value: Any, prefix: str = "--") -> list[str]:
    """Give the full names of the options that a dataclass's fields are, as tyro forms them.

    Args:
        value: a dataclass, or a tuple that may hold some.
        prefix: of all names.
    """
    if isinstance(value, tuple):
        parts = {str(place): part for place, part in enumerate(value)}
    else:
        parts = {field.name.replace("_", "-"): getattr(value, field.name) for field in fields(value)}
    found = []
    for name, part in parts.items():
        if (is_dataclass(part) and not isinstance(part, type)) or (
            isinstance(part, tuple) and any(map(is_dataclass, part))
        ):
            found += names(part, f"{prefix}{name}.")
        else:
            found += [f"{prefix}{name}", *([f"{prefix}no-{name}"] if isinstance(part, bool) else [])]
    return found


def _registry() -> tyro.constructors.ConstructorRegistry:
    """Teach tyro numbers that may be nested lists, such as a perturbation's radius per feature."""
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
            instance_from_str=lambda texts: _nested(texts[0]),
            is_instance=lambda value: isinstance(value, float | int | tuple),
            str_from_instance=lambda value: [json.dumps(value)],
        )

    return registry


def _nested(text: str) -> Any:
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
