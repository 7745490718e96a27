"""Every number of every recipe, and of what stands in it, has a range: what lies outside is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from types import FunctionType, NoneType
from typing import Any

import pytest

from robustsuite import attacks, bounds, recipes, training
from robustsuite.errors import InvalidInput


def _parts(value: Any) -> Iterator[Any]:
    """Give all dataclasses inside of one."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _parts(item)
    elif is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            yield from _parts(getattr(value, field.name))


def _all() -> dict[type, Any]:
    """Give one object of every kind: those in the recipes, and those that need no arguments."""
    found: dict[type, Any] = {}
    for domain in recipes.discover().domains.values():
        for recipe in (entry() for entry in domain.recipes.values()):
            for part in _parts(recipe):
                found.setdefault(type(part), part)
    for module in (attacks, bounds, training):
        for name in module.__all__:
            kind = getattr(module, name)
            if isinstance(kind, type) and is_dataclass(kind):
                try:
                    found.setdefault(kind, kind())
                except TypeError:
                    continue
    return found


OBJECTS = _all()


def _fields(*kinds: type) -> list[Any]:
    """Give the fields whose present value is of these kinds, with the object that they stand in."""
    return [
        pytest.param(value, field.name, id=f"{kind.__name__}.{field.name}")
        for kind, value in OBJECTS.items()
        for field in fields(value)
        if isinstance(present := getattr(value, field.name), kinds) and not isinstance(present, bool)
    ]


def _absent() -> list[Any]:
    """Give the optional numbers that are None."""
    return [
        pytest.param(value, field.name, id=f"{kind.__name__}.{field.name}")
        for kind, value in OBJECTS.items()
        for field in fields(value)
        if getattr(value, field.name) is None and str(field.type) in ("int | None", "float | None")
    ]


def _refused(value: Any, name: str, wrong: object) -> None:
    with pytest.raises(InvalidInput, match=name) as caught:
        replace(value, **{name: wrong})
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(("value", "name"), [*_fields(int, float), *_absent()])
@pytest.mark.parametrize("wrong", [float("nan"), "1", True, ["x"], -1e9, 1j], ids=str)
def test_a_number_outside_its_range_is_refused(value: Any, name: str, wrong: object) -> None:
    if wrong != -1e9 or name not in ("mean", "enough"):  # these may be any number
        _refused(value, name, wrong)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(("value", "name"), _fields(tuple))
@pytest.mark.parametrize("wrong", [3.5, "x", ("x",), (float("nan"),)], ids=str)
def test_a_list_of_something_else_is_refused(value: Any, name: str, wrong: object) -> None:
    if wrong != 3.5 or name != "unit":  # one number may stand for all features
        _refused(value, name, wrong)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("value", "name"), [*_fields(FunctionType), *_fields(*(kind for kind in OBJECTS if kind is not NoneType))]
)
@pytest.mark.parametrize("wrong", [3.5, "x", None, list], ids=str)
def test_a_part_of_another_kind_is_refused(value: Any, name: str, wrong: object) -> None:
    _refused(value, name, wrong)


def test_the_sweep_reaches_all_domains() -> None:
    names = {kind.__name__ for kind in OBJECTS}
    assert names >= {
        "PGD",
        "Training",
        "Adam",
        "ConvNet",
        "QLearning",
        "Validation",
        "LSTMPooling",
        "WordLinf",
    }
