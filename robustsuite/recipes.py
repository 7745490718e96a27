"""Recipes: a whole run as one frozen dataclass, its JSON form, and how the command line finds recipes.

A domain is a module with two names, found by the entry point group "robustsuite.domains":

- ``RECIPES: dict[str, Recipe]``, by the name on the command line;
- ``DEMO: tuple[str, ...]``, the names of those that the demo runs.

In JSON every dataclass carries its "type" ("module:Name") and every function stands as {"function": "module:name"}.
Only modules of the suite and of installed domains are looked into, so a stranger's file cannot choose what is imported.
"""

from __future__ import annotations

import collections.abc
import difflib
import functools
import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

import cattrs
import tyro
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from robustsuite import files
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.records import Record
from robustsuite.runs import Run

GROUP = "robustsuite.domains"


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A whole run: what is trained on what, how it is attacked and measured. Domains add their fields.

    Args:
        name: on the command line and of the run's folder.
        description: one line for `robustsuite list`.
        seed: of everything random in the run, >= 0.
        device: "cpu", "cuda", "cuda:1" ...
    """

    domain: ClassVar[str]

    name: Annotated[str, tyro.conf.Suppress]
    description: Annotated[str, tyro.conf.Suppress] = ""
    seed: int = 0
    device: str = "cpu"

    @abstractmethod
    def train(self, run: Run) -> None:
        """Train and write checkpoints below ``run.checkpoints``; continue from them where ``run.resume``."""

    @abstractmethod
    def evaluate(self, run: Run) -> list[Record]:
        """Load what `train` saved, measure it, and give the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What an installed domain offers.

    Args:
        name: of the domain.
        recipes: by name.
        demo: names of the recipes that the demo runs.
    """

    name: str
    recipes: Mapping[str, Recipe]
    demo: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The domains that loaded, and one line for each that did not.

    Args:
        domains: by name.
        failures: the reason in one line, by the domain's name.
    """

    domains: Mapping[str, Domain]
    failures: Mapping[str, str]

    def find(self, name: str) -> Recipe:
        """Give the recipe of this name.

        Raises:
            InvalidInput: no domain has it; the message names the nearest ones.
        """
        known = {key: recipe for domain in self.domains.values() for key, recipe in domain.recipes.items()}
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(map(repr, near))}? " if near else ""
        absent = "".join(f"; {line}" for line in self.failures.values())
        raise InvalidInput(f"unknown recipe '{name}'; {hint}'robustsuite list' shows all{absent}")


def discover() -> Discovery:
    """Load every installed domain; one that does not load becomes one line, not an error."""
    domains: dict[str, Domain] = {}
    failures: dict[str, str] = {}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        try:
            module = point.load()
            domains[point.name] = Domain(
                name=point.name, recipes=dict(module.RECIPES), demo=tuple(module.DEMO)
            )
        except ModuleNotFoundError as error:
            if error.name in {point.module, "robustsuite"}:
                remedy = "is not installed here: run 'pip install -e .' in the checkout"
            else:
                remedy = f"needs the package '{error.name}': run 'pip install {error.name}'"
            failures[point.name] = f"domain '{point.name}' {remedy}"
        except Exception as error:  # noqa: BLE001  whatever a plug-in does, the others still work
            reason = (str(error).splitlines() or [""])[0]
            failures[point.name] = f"domain '{point.name}' does not load: {type(error).__name__}: {reason}"
    return Discovery(domains=domains, failures=failures)


def save_json(recipe: Recipe, path: Path) -> None:
    """Write a recipe as JSON, in one step.

    Raises:
        NotWritable: no permission to write there.
    """
    files.write_text(path, to_json(recipe))


def load_json(path: Path) -> Recipe:
    """Read a recipe that `save_json` wrote.

    Raises:
        InvalidInput: missing, not JSON, an unknown class or field, or a value of the wrong kind.
    """
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"no recipe at '{path}'; 'robustsuite train RECIPE' writes one") from None
    except InvalidInput as error:
        raise InvalidInput(f"recipe '{path}': {error}") from None


def to_json(recipe: Recipe) -> str:
    """Give the JSON text of a recipe."""
    return json.dumps(_converter().unstructure(recipe), indent=2) + "\n"


def from_json(text: str) -> Recipe:
    """Give the recipe of a JSON text. Raises as `load_json`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"not JSON: {error}") from None
    try:
        recipe: Recipe = _structure_open(value, Recipe)
        return recipe
    except RobustsuiteError:
        raise
    except Exception as error:  # noqa: BLE001  cattrs raises groups of many kinds
        inner = _first_of_suite(error)
        reason = str(inner) if inner is not None else "; ".join(cattrs.transform_error(error, path="recipe"))
        raise InvalidInput(reason) from None


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Give the fields in which two recipes differ, as "field: one != other"."""
    if type(one) is not type(other):
        return [f"kind: {type(one).__name__} != {type(other).__name__}"]
    pairs = ((f.name, getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return [f"{name}: {a!r} != {b!r}" for name, a, b in pairs if a != b]


# --- the JSON form ---------------------------------------------------------------------------------------------


def _name_of(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


def _resolve(name: str) -> Any:
    """Give the class or function "module:name" of the suite or of an installed domain."""
    module_name, _, qualname = name.partition(":")
    roots = {"robustsuite", *(point.module.partition(".")[0] for point in metadata.entry_points(group=GROUP))}
    if module_name.partition(".")[0] not in roots:
        raise InvalidInput(f"'{name}' is not of this suite or an installed domain")
    try:
        value = functools.reduce(getattr, qualname.split("."), importlib.import_module(module_name))
    except (ImportError, AttributeError):
        raise InvalidInput(f"there is no '{name}'; the recipe was written by another version") from None
    # Only what is defined there: not a module's imports.
    if getattr(value, "__module__", None) != module_name or getattr(value, "__qualname__", None) != qualname:
        raise InvalidInput(f"'{name}' is not a class or function defined in that module")
    return value


def _is_open(kind: Any) -> bool:
    """Whether a field's type leaves the class of its value open (unions, protocols, abstract classes, callables)."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return True
    if kind is Any or kind is object or kind is NoneType or origin in _CALLABLES or kind in _CALLABLES:
        return True
    return isinstance(kind, type) and (
        is_dataclass(kind)
        or getattr(kind, "_is_protocol", False)
        or bool(getattr(kind, "__abstractmethods__", ()))
    )


_CALLABLES = (collections.abc.Callable,)


def _unstructure_open(value: Any) -> Any:
    if isinstance(value, FunctionType):
        return {"function": _name_of(value)}
    if is_dataclass(value):
        plain = make_dict_unstructure_fn(type(value), _converter())
        return {"type": _name_of(type(value)), **plain(value)}
    if isinstance(value, tuple | list):
        return [_unstructure_open(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _unstructure_open(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidInput(f"a recipe holds {value!r}; expected dataclasses, functions, numbers and texts")


def _structure_open(value: Any, kind: Any) -> Any:
    if isinstance(value, Mapping) and "function" in value:
        function = _resolve(str(value["function"]))
        if not isinstance(function, FunctionType):
            raise InvalidInput(f"'{value['function']}' is not a function")
        return function
    if isinstance(value, Mapping) and "type" in value:
        found = _resolve(str(value["type"]))
        if not (isinstance(found, type) and is_dataclass(found)):
            raise InvalidInput(f"'{value['type']}' is not a kind of recipe, perturbation or option")
        _check_kind(found, kind, str(value["type"]))
        plain = make_dict_structure_fn(found, _converter(), _cattrs_forbid_extra_keys=True)
        return plain({key: item for key, item in value.items() if key != "type"}, found)
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Recipe)):
        raise InvalidInput(f'expected an object with a "type", got {value!r}')
    if isinstance(value, list):
        return tuple(_structure_open(item, Any) for item in value)
    numbers = [part for part in get_args(kind) if part in (bool, int, float, str)]
    if isinstance(value, int) and not isinstance(value, bool) and float in numbers and int not in numbers:
        return float(value)
    return value


def _check_kind(found: type, kind: Any, name: str) -> None:
    """Check that a named class may stand where a field of type `kind` is."""
    parts = [part for part in (get_args(kind) or (kind,)) if isinstance(part, type)]
    allowed = [
        part
        for part in parts
        if (is_dataclass(part) or issubclass(part, ABC)) and not getattr(part, "_is_protocol", False)
    ]
    if allowed and not issubclass(found, tuple(allowed)):
        expected = " or ".join(part.__name__ for part in allowed)
        raise InvalidInput(f"'{name}' stands where a {expected} is expected")


@functools.cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook_func(_is_open, _unstructure_open)
    converter.register_structure_hook_func(_is_open, _structure_open)
    return converter


def _first_of_suite(error: BaseException) -> RobustsuiteError | None:
    """Find an error of the suite inside cattrs' nested groups."""
    if isinstance(error, RobustsuiteError):
        return error
    for inner in getattr(error, "exceptions", ()):
        found = _first_of_suite(inner)
        if found is not None:
            return found
    return None
