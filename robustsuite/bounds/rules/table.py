"""What all rule modules share: the type of a table, which arguments a rule takes, and small questions about shapes.

A rule names the arguments of its ATen operator that it handles: its positional parameters are the operator's first
ones, in order, and its keyword-only ones bear their names. It swallows nothing (no ``*args``, no ``**kwargs``). Any
further argument of a call is refused by name, unless it is the operator's default, which a rule has to assume.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.forms.linear_form import Shape
from robustsuite.bounds.program import Program, Ref
from robustsuite.errors import UnsupportedOperator

Rule = Callable[..., Ref | Tensor | tuple[Any, ...] | None]
Table = dict[Any, Rule]
"""ATen overload -> rule. A rule takes the program and the operator's arguments (perturbed tensors as `Ref`,
constants as tensors), adds steps to the program and gives the operator's output: a tensor where that depends on shapes alone."""

IMMATERIAL = frozenset(
    {
        "layout",
        "device",
        "pin_memory",
        "memory_format",
        "non_blocking",
        "implicit",
        "sparse_grad",
        "cudnn_enable",
        "cudnn_enabled",
        "stride",
        "dtype",
        "half_to_float",
    }
)
"""Arguments of ATen operators that say how a tensor is kept, not what it holds.

Dtypes are looked at where results are (`robustsuite.bounds.tracing.dtypes`), whoever asked for them.
"""


def handled(
    target: Any, rule: Rule, args: Sequence[Any], kwargs: Mapping[str, Any], where: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give those arguments of a call of an operator that its rule takes.

    Args:
        target: the ATen overload.
        rule: its rule.
        args, kwargs: of the call.
        where: for messages.

    Raises:
        UnsupportedOperator: an argument is given that the rule does not name, and it is not the default.
    """
    schema = target._schema.arguments
    positional, named = parameters(rule)
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)} | dict(kwargs)
    taken: list[Any] = []
    rest: dict[str, Any] = {}
    for number, argument in enumerate(schema):
        if argument.name not in given:
            continue
        value = given[argument.name]
        if number < len(positional) and not argument.kwarg_only:
            if len(taken) == number:
                taken.append(value)
            else:  # one before it was left out
                rest[positional[number]] = value
        elif argument.kwarg_only and argument.name in (*positional, *named):
            rest[argument.name] = value
        elif argument.name not in IMMATERIAL and not _is_default(argument, value):
            raise UnsupportedOperator(
                f"{where} is given {argument.name}={value}, which the bounding rule of '{target}' does not handle; "
                "leave it at its default, or have the rule name it"
            )
    return tuple(taken), rest


def _is_default(argument: Any, value: Any) -> bool:
    if value is None:
        return True  # an argument of no value asks for nothing
    if not argument.has_default_value():
        return False
    default = argument.default_value
    return type(value) in (type(default), int, float) and bool(value == default)


def parameters(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the names of a rule's positional parameters (the program left out) and of its keyword-only ones.

    Raises:
        TypeError: the rule swallows arguments.
    """
    found = list(inspect.signature(rule).parameters.values())[1:]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in found):
        raise TypeError(f"the bounding rule {rule!r} swallows arguments; name those that it handles")
    return (
        tuple(p.name for p in found if p.kind is not p.KEYWORD_ONLY),
        tuple(p.name for p in found if p.kind is p.KEYWORD_ONLY),
    )


def shape_of(function: Callable[[Tensor], Tensor], *shapes: Shape) -> Shape:
    """Give the shape for one example of what `function` makes of tensors with the rows in front."""
    empty = [torch.empty((1, *shape), device="meta") for shape in shapes]
    return tuple(function(*empty).shape[1:])


def constant_like(g: Program) -> dict[str, Any]:
    """Give the dtype and device of the program's inputs."""
    return {"dtype": g.dtype, "device": g.device}
