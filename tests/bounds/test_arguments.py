"""Every rule with every argument of its operator: it gives what the operator gives, or refuses the argument by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, fx

from robustsuite.bounds.rules import TABLE
from robustsuite.bounds.rules.table import IMMATERIAL, handled, parameters
from robustsuite.bounds.tracing import agreement
from robustsuite.bounds.tracing.calls import Call
from robustsuite.errors import RobustsuiteError

from .cases import OPERATORS, Case, traced


def others(value: Any, kind: str) -> Iterator[Any]:
    """Give other values of an argument."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, -value)
        if "float" in kind or "number" in kind:
            yield from (value + 0.5, -2.5)
    elif isinstance(value, float):
        yield from (value + 0.5, -value - 0.25, 2 * value, 0.0)
    elif isinstance(value, str):
        yield from ({"none": ["tanh"], "tanh": ["none"]}.get(value, []))
    elif isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
        for step in (1, -1):
            yield type(value)(v + step for v in value)
        if len(value) > 1:
            yield type(value)([value[0] + 1, *value[1:]])
            yield type(value)(reversed(value))
        yield type(value)(value[:1]) if len(value) > 1 else []
    elif value is None:
        if "bool" in kind:
            yield True
        elif "float" in kind or "number" in kind:
            yield from (0.5, 2.0)
        elif "int" in kind.lower():
            yield from (0, 1, [0], [1])
    elif isinstance(value, Tensor):
        yield value.flip(0) if value.dim() else value
        if "Optional" in kind:
            yield None


def variants(call: Call) -> Iterator[tuple[str, Call]]:
    """Give the call with one argument changed, for each argument and value, with the argument's name."""
    schema = call.function._schema.arguments  # type: ignore[union-attr]
    given = {a.name: v for a, v in zip(schema, call.args, strict=False)} | dict(call.kwargs)
    for number, argument in enumerate(schema):
        value = given.get(argument.name, argument.default_value if argument.has_default_value() else None)
        if isinstance(value, fx.Node) or number == 0:
            continue
        for other in others(value, str(argument.type)):
            args, kwargs = list(call.args), dict(call.kwargs)
            if argument.kwarg_only:
                kwargs[argument.name] = other
            else:
                for before in schema[len(args) : number + 1]:
                    args.append(before.default_value)
                args[number] = other
            yield argument.name, replace(call, args=tuple(args), kwargs=kwargs, nested=True)


def _accepts(call: Call, known: Mapping[fx.Node, Any]) -> bool:
    args, kwargs = fx.map_arg((call.args, dict(call.kwargs)), known.__getitem__)
    try:
        call.function(*args, **kwargs)  # type: ignore[misc]
    except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError):
        return False
    return True


@pytest.mark.parametrize("target", TABLE, ids=str)
def test_no_rule_swallows_arguments(target: Any) -> None:
    positional, named = parameters(TABLE[target])
    taken = {argument.name for argument in target._schema.arguments if argument.kwarg_only}
    optional = {"refine", "refine_from", "dims"}
    assert set(named) <= taken | optional, f"{named} are no arguments of {target}"
    assert positional


@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_every_argument_is_read_or_refused(case: Case) -> None:
    generator = torch.Generator().manual_seed(1)
    net = traced(case)
    wrong: list[str] = []
    with torch.no_grad():
        for call, known in agreement.walk(
            net._calls, net.placeholders([case.inputs()[:1]], torch.device("cpu"))
        ):
            for name, variant in variants(call):
                if name in IMMATERIAL or not _accepts(variant, known):
                    continue
                try:
                    rule = TABLE[call.function]
                    taken = handled(call.function, rule, variant.args, variant.kwargs, call.where)
                    agreement.check_rule(replace(variant, for_rule=taken), known, generator)
                except RobustsuiteError as error:
                    if "does not give what the operator gives" in str(error):
                        wrong.append(f"{name}: {variant.args} {variant.kwargs}")
    assert not wrong
