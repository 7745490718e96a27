"""The JSON form of frozen dataclasses: recipes with their perturbations, attacks, objectives and schedules.

Every dataclass carries its "type" ("module:Name") and every function stands as {"function": "module:name"}. Only modules of
the suite and of installed domains are looked into, so a stranger's file cannot choose what is imported.
"""

from __future__ import annotations

import collections.abc
import functools
import importlib
import json
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from importlib import metadata
from types import FunctionType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from robustsuite.errors import InvalidInput, RobustsuiteError

_LONGEST = 80

DOMAINS = "robustsuite.domains"
"""The entry point group by which domains are found."""


def to_json(value: object) -> str:
    """Give the JSON text of a dataclass.

    Raises:
        InvalidInput: it holds something that is neither a dataclass, a function, a number, a text nor a sequence of these.
    """
    return json.dumps(_converter().unstructure(value, unstructure_as=Any), indent=2) + "\n"


def from_json(text: str, kind: Any) -> Any:
    """Give the dataclass of a JSON text.

    Raises:
        InvalidInput: not JSON, not a `kind`, an unknown class or field, or a value of the wrong type.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON: {error}") from None
    try:
        return _structure_open(value, kind)
    except RobustsuiteError:
        raise
    except Exception as error:  # noqa: BLE001  cattrs raises groups of many kinds
        if isinstance(error, RecursionError):
            raise InvalidInput("its lists are nested too deeply; expected a recipe of this suite") from None
        inner = _first_of_suite(error)
        reason = str(inner) if inner is not None else "; ".join(cattrs.transform_error(error, path="$"))
        raise InvalidInput(reason) from None


def differences(one: str, other: str) -> list[str]:
    """Give the places in which two JSON texts of dataclasses differ, as "field.field: one != other".

    Example:
        >>> differences('{"seed": 0, "net": {"width": 8, "depth": 2}}', '{"seed": 0, "net": {"width": 8, "depth": 3}}')
        ['net.depth: 2 != 3']
    """
    return list(_differences(json.loads(one), json.loads(other), ""))


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if one == other:
        return
    both = isinstance(one, dict) and isinstance(other, dict)
    if both and (one.get("type") == other.get("type")):
        for name in dict.fromkeys([*one, *other]):
            yield from _differences(one.get(name), other.get(name), f"{path}.{name}" if path else name)
    else:
        yield f"{path}: {_told(one)} != {_told(other)}"


def _told(value: Any) -> str:
    """Tell a value of a JSON text in a few words; a dataclass or a function by its name."""
    for key in ("type", "function"):
        if isinstance(value, dict) and key in value:
            return str(value[key]).rpartition(":")[2]
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _name_of(value: Any) -> str:
    return f"{value.__module__}:{value.__qualname__}"


def _resolve(name: str) -> Any:
    """Give the class or function "module:name" of the suite or of an installed domain."""
    module_name, _, qualname = name.partition(":")
    roots = {
        "robustsuite",
        *(point.module.partition(".")[0] for point in metadata.entry_points(group=DOMAINS)),
    }
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
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, ABC)):
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
