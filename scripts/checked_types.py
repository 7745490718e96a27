"""The checker of annotations at test time: beartype, with an int where a float is asked for (PEP 484's tower).

jaxtyping compares named axes within one call, and takes the arguments of every call apart for that: dearer than many of
the functions under test. From the import of this module on (jaxtyping imports it to decorate the first function) it does so
only where a signature names axes; all other functions are checked by beartype alone. Functions made within others are left
to mypy: their checks would be written and compiled anew in each call, nine tenths of the time of bounds on small networks.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
_comparing_axes = jaxtyping.jaxtyped


def _jaxtyped(decorated: Any = None, *, typechecker: Any) -> Any:
    """Decorate a function or a data class, as `jaxtyping.jaxtyped` does."""
    if decorated is None:
        return functools.partial(_jaxtyped, typechecker=typechecker)
    if inspect.isclass(decorated):
        # A method of its own was decorated before.
        if is_dataclass(decorated) and not hasattr(decorated.__init__, "__wrapped__"):
            decorated.__init__ = _jaxtyped(decorated.__init__, typechecker=typechecker)  # type: ignore[method-assign]
        return decorated
    if "<locals>" in getattr(decorated, "__qualname__", ""):
        return decorated
    if not inspect.isfunction(decorated):
        return _comparing_axes(decorated, typechecker=typechecker)
    hints = {name: _hint(decorated, value) for name, value in decorated.__annotations__.items()}
    if any(map(_names_axes, hints.values())):
        return _comparing_axes(decorated, typechecker=typechecker)
    return _by_types(decorated, hints, typechecker)


def _hint(function: Callable[..., Any], annotation: Any) -> Any:
    """Read an annotation; what is not there when a function is decorated (its own class, say) may be anything."""

    def alone() -> None: ...

    alone.__annotations__ = {"value": annotation}
    try:
        return typing.get_type_hints(alone, function.__globals__, include_extras=True)["value"]
    except (AttributeError, NameError, TypeError, ValueError):
        return Any


def _names_axes(hint: Any) -> bool:
    if isinstance(hint, list | tuple):
        return any(map(_names_axes, hint))
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_names_axes, typing.get_args(hint)))


def _by_types(function: Any, hints: dict[str, Any], typechecker: Any) -> Any:
    written, function.__annotations__ = function.__annotations__, hints
    checked = typechecker(function)
    function.__annotations__ = written

    @functools.wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return (function if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

    return either


jaxtyping.jaxtyped = _jaxtyped  # type: ignore[assignment]
