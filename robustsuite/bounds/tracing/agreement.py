"""Does what was traced compute what the module computes? Asked once, when a module is traced.

Two questions. Of each rule: does it give what its operator gives, with the arguments that it has in this network, at
random numbers of several sizes? A rule that reads past an argument is seen here, in dead branches too. Of the whole
graph: does it give what the module gives on a batch, with its own weights and with random ones?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules import casting
from robustsuite.bounds.rules.masks import placeholder
from robustsuite.bounds.rules.refusal import Places
from robustsuite.bounds.tracing.calls import Call
from robustsuite.bounds.tracing.separation import mixes
from robustsuite.errors import InvalidInput, RobustsuiteError, UnsupportedOperator
from robustsuite.perturbations import BoxRegion

_TOLERANCE = 1e-8  # of a rule, in double precision
_WEIGHTS = (1.0, 4.0)  # sizes of random weights
_MANY_WEIGHTS = 50_000_000  # beyond, copies of them are not made
_SIZES = (2, 3, 4, 7, 8)  # of further batches
_STEPS = (0.0, 0.1, 1.0, 1.0, 10.0)  # sizes of random steps away from the example


def check_rules(calls: Sequence[Call], values: Mapping[fx.Node, Any]) -> None:
    """Check that each rule agrees with its operator.

    Args:
        calls: of the graph.
        values: of its placeholders: one example of each input, parameters, buffers and constants.

    Raises:
        UnsupportedOperator: one does not; the message names it.
        InvalidInput: the example gives NaN.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for call, known in walk(calls, values):
            check_rule(call, known, generator)


def walk(
    calls: Sequence[Call], values: Mapping[fx.Node, Any]
) -> Iterator[tuple[Call, Mapping[fx.Node, Any]]]:
    """Run a graph on one example, and give each call that has a rule with all values so far."""
    known = dict(values)
    for call in calls:
        if call.function is not None:
            args, kwargs = fx.map_arg((call.args, dict(call.kwargs)), known.__getitem__)
            known[call.node] = call.function(*args, **kwargs)
            if call.rule is not None and "val" in call.node.meta:
                yield call, known


def check_rule(call: Call, known: Mapping[fx.Node, Any], generator: torch.Generator) -> None:
    """Check that a rule gives what its operator gives, at random numbers in the place of all that is perturbed.

    Raises:
        UnsupportedOperator: it does not.
    """
    sources = [n for n in call.node.all_input_nodes if _moves(n, known, call)]
    for largest in (1.0, 1000.0):
        drawn = {n: _drawn(known[n], largest, generator) for n in sources}
        if _is_whole(known[call.node]):  # beyond their range casts to whole numbers have no defined result
            drawn = {n: value if value.dtype == torch.bool else value.abs() % 8 for n, value in drawn.items()}
        given = {n: _double(drawn.get(n, known.get(n))) for n in call.node.all_input_nodes}
        args, kwargs = fx.map_arg((call.args, dict(call.kwargs)), given.__getitem__)
        if call.function not in casting.TABLE:  # a dtype that is asked for is not what is compared here
            args, kwargs = tuple(map(_finest, args)), {key: _finest(v) for key, v in kwargs.items()}
        try:
            expected = call.function(*args, **kwargs)  # type: ignore[misc]
        except (RuntimeError, IndexError):
            continue  # it does not take such numbers (as indices); the rule refuses them, when the graph is bound
        program = Program([given[n].double().unsqueeze(0) for n in sources])
        refs = {n: Ref(i, tuple(given[n].shape), given[n].dtype) for i, n in enumerate(sources)}
        program.begin(call.where, lambda: False)
        at = given | refs
        for_rule = fx.map_arg((call.for_rule[0], dict(call.for_rule[1])), at.__getitem__)
        got = call.by_rule(program, *for_rule)
        if not _agree(program, got, expected, given.values()):
            raise UnsupportedOperator(
                f"the bounding rule of {call.where} does not give what the operator gives with these arguments; "
                "rewrite this part with other operators, and report it"
            )


def _finest(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value.is_floating_point else value


def _is_whole(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_floating_point() and value.dtype != torch.bool


def _moves(node: fx.Node, known: Mapping[fx.Node, Any], call: Call) -> bool:
    return node in call.perturbed and isinstance(known.get(node), Tensor)


def _drawn(like: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Draw numbers of several sizes, 1 to `largest`; booleans and small whole numbers where these are due."""
    unit = torch.rand(like.shape, generator=generator)
    if like.dtype == torch.bool:
        drawn = unit < 0.5
    elif not like.is_floating_point():
        drawn = (8 * unit).to(like.dtype)
    else:
        size = largest ** torch.rand(like.shape, generator=generator)
        drawn = (4 * unit.double() - 2) * size
    return drawn.to(like.device)


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _agree(program: Program, got: Any, expected: Any, inputs: Any) -> bool:
    if isinstance(got, list | tuple):
        return all(_agree(program, g, e, inputs) for g, e in zip(got, expected, strict=False))
    if got is None or expected is None or isinstance(got, Places):
        return True
    if isinstance(got, Ref):
        value = program.value(got)[0]
        if tuple(value.shape) != tuple(expected.shape):
            return False
        value = value if got.masked is None else value.masked_fill(got.masked, -torch.inf)
    else:
        value = got.double() if got.dtype == torch.bool else got
    sizes = [
        t.double().abs().nan_to_num(0, 0, 0).amax() for t in inputs if isinstance(t, Tensor) and t.numel()
    ]
    size = max([1.0, *(float(s) for s in sizes if float(s) < 1e30)])
    expected = expected.to(value)
    largest = expected.abs().nan_to_num(0, 0, 0).amax() if expected.numel() else expected.new_zeros(())
    return bool(
        torch.isclose(
            value, expected, rtol=_TOLERANCE, atol=_TOLERANCE * max(size, float(largest)), equal_nan=True
        ).all()
    )


def check_module(graph: Any, examples: Sequence[Tensor]) -> None:
    """Compare the graph, which sees one example at a time, with the module on a batch of different ones.

    Args:
        graph: a `Graph`.
        examples: a batch for each input.

    Raises:
        InvalidInput: they differ, or the module gives NaN or infinity at the example.
    """
    generator = torch.Generator().manual_seed(0)
    batches = [_around(value, generator) for value in examples]
    with torch.no_grad():
        at_example = graph.module(*(value[:1] for value in examples))
        if not bool(at_example.isfinite().all()):
            raise InvalidInput(
                "the module gives NaN or inf at the example; trace at an example where its output is finite"
            )
        _compare(graph, batches)
        for size in _WEIGHTS:
            with _random_weights(graph.module, size, generator) as changed:
                if changed:
                    _compare(graph, batches, own_weights=False)


def _around(value: Tensor, generator: torch.Generator) -> Tensor:
    """Give a batch of the example and of random ones at several distances."""
    steps = torch.tensor(_STEPS, dtype=torch.float64).view(-1, *(1,) * (value.dim() - 1))
    noise = torch.randn((len(_STEPS), *value.shape[1:]), generator=generator, dtype=torch.float64)
    return value[:1].detach() + (steps * noise).to(value)


def _compare(graph: Any, batches: Sequence[Tensor], *, own_weights: bool = True) -> None:
    try:
        program = graph.bind([BoxRegion(value, value, value) for value in batches])
    except RobustsuiteError:
        if own_weights:
            raise
        return  # random weights need not make sense: a root of a negative one
    got = program.value(Ref(program.output, ()))
    expected = _on_batch(graph.module, batches)
    if (
        not isinstance(expected, Tensor)
        or expected.shape[:1] != got.shape[:1]
        or expected.numel() != got.numel()
    ):
        raise mixes(f"a batch of {len(batches[0])} examples gives an output of another shape than one alone")
    expected = expected.reshape(got.shape)
    limit = -placeholder(got.dtype) / 1e6
    largest = torch.ones((), dtype=torch.float64)
    for index in range(len(program.steps)):
        size = program.value(Ref(index, ())).double().abs()
        size = size[size < limit]
        largest = torch.maximum(largest, size.amax().cpu()) if size.numel() else largest
    kind = torch.finfo(got.dtype)
    scale = expected.double().abs().nan_to_num(0, 0, 0).amax() if expected.numel() else 0.0
    slack = float(2000 * kind.eps * scale + 100 * kind.eps * largest)
    close = torch.isclose(got.double(), expected.double(), rtol=1e-6, atol=slack, equal_nan=True)
    if not bool(close.all()):
        rows = range(len(batches[0]))
        alone = torch.cat(
            [graph.module(*(value[i : i + 1] for value in batches)).reshape(1, -1) for i in rows]
        )
        if torch.allclose(alone, expected.reshape(alone.shape), rtol=1e-3, atol=1e-5, equal_nan=True):
            raise UnsupportedOperator(
                "the graph does not give what the module gives at random inputs near the example: casts beyond their "
                "range and rounding exactly at a step are not followed; clamp before casts, or move the steps"
            )
        raise mixes("what was traced for one example differs from what a batch gives")
    if own_weights:
        _check_sizes(graph.module, batches, expected, 10 * slack)


def _on_batch(module: nn.Module, batches: Sequence[Tensor]) -> Any:
    try:
        return module(*batches)
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise mixes(f"it cannot be run on a batch of {len(batches[0])} ({line})") from error


def _check_sizes(module: nn.Module, batches: Sequence[Tensor], expected: Tensor, slack: float) -> None:
    """Check that batches of other sizes give the same for each example, but for rounding of up to `slack`."""
    count = len(expected)
    for length in _SIZES:
        order = torch.arange(length, device=expected.device).flip(0) % count
        y = _on_batch(module, [value[order] for value in batches])
        same = isinstance(y, Tensor) and y.numel() == expected[order].numel()
        if not same or not torch.allclose(
            y.reshape(expected[order].shape), expected[order], 1e-6, slack, True
        ):
            raise mixes(f"a batch of {length} gives something else for the same examples")


@contextmanager
def _random_weights(module: nn.Module, size: float, generator: torch.Generator) -> Iterator[bool]:
    """Lend a module random weights; nothing that autograd has recorded sees it."""
    weights = [p for p in module.parameters() if p.is_floating_point()]
    if not weights or sum(p.numel() for p in weights) > _MANY_WEIGHTS:
        yield False
        return
    own = [p.data for p in weights]
    try:
        for p in weights:
            fan_in = max(1, p[0].numel()) if p.dim() > 1 else 1
            drawn = torch.randn(p.shape, generator=generator) * (size / fan_in**0.5)
            p.data = drawn.to(p)
        yield True
    finally:
        for p, data in zip(weights, own, strict=True):
            p.data = data
