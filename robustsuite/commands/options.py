"""A recipe's fields as options of the command line, by their full names or by the ends that are no other's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

import tyro

from robustsuite.errors import InvalidInput
from robustsuite.perturbations.features import PerFeature
from robustsuite.recipes import Recipe

_Place = TypeVar("_Place")


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
        InvalidInput: a short name that stands for several options.
    """

    def command(place: Any, recipe: Any) -> tuple[Recipe, _Place]:
        return recipe, place

    command.__annotations__ = {
        "place": Annotated[type(place), tyro.conf.arg(name="")],
        "recipe": Annotated[type(recipe), tyro.conf.arg(name="")],
    }
    command.__defaults__ = (place, recipe)
    return tyro.cli(
        command,
        args=lengthened(arguments, [*names(place), *names(recipe)]),
        prog=prog,
        description=description,
        config=(tyro.conf.AvoidSubcommands,),
        registry=_registry(),
    )


def lengthened(arguments: Iterable[str], known: Sequence[str]) -> list[str]:
    """Put full names of options in the place of their ends.

    Args:
        arguments: of a command line.
        known: all full names, with their dashes.

    Raises:
        InvalidInput: an end of several names.

    Example:
        >>> lengthened(["--epochs", "5", "--rate=1"], ["--training.epochs", "--optimizer.rate", "--seed"])
        ['--training.epochs', '5', '--optimizer.rate=1']
    """
    found = []
    for argument in arguments:
        given, equals, value = argument.partition("=")
        if given.startswith("--") and given not in known:
            full = [name for name in known if name.endswith(f".{given[2:].replace('_', '-')}")]
            if len(full) > 1:
                raise InvalidInput(f"option '{given}' may be {' or '.join(full)}; give one of these names")
            argument = f"{full[0]}{equals}{value}" if full else argument
        found.append(argument)
    return found


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
