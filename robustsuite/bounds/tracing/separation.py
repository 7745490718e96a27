"""Do the examples of a batch stay apart? Decided on the operators that a module runs, not on the values they give.

Bounds are for functions of one example. A module that mixes examples may still give the right values by accident: in
a branch that is dead at the example, before a layer that is zero so far. So a batch is run operator by operator, and of
each example it is followed which entries depend on it: an operator is given NaN for these, and what is NaN afterwards
depends on it too, whatever the weights are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from robustsuite.errors import InvalidInput

aten = torch.ops.aten
_BATCH = 3

# Not marked as elementwise by torch, and yet: their result at an entry comes from that entry.
_ELEMENTWISE = {aten._to_copy.default, aten.clone.default, aten.where.self, aten.masked_fill.Scalar}
# What these give at an entry depends on all entries along the axis, but NaN moves to its end.
_ALONG_AXIS = {aten.sort, aten.topk, aten.kthvalue, aten.median, aten.nanmedian, aten.argsort}
_BY_NUMBERS = {aten.roll.default}  # not elementwise, and no number of theirs is a shape
_OF_BOOLEANS = {aten.any.default: aten.amax.default, aten.all.default: aten.amin.default}
_OF_BOOLEANS |= {aten.any.dim: aten.amax.default, aten.all.dim: aten.amin.default}
_OF_BOOLEANS |= {aten.nansum.default: aten.sum.dim_IntList}
_OF_BOOLEANS |= {aten.any.dims: aten.amax.default, aten.all.dims: aten.amin.default}


def check(module: nn.Module, examples: Sequence[Tensor]) -> None:
    """Check that a module's output for one example does not depend on the others, nor on how many there are.

    Args:
        module: in eval mode; maps batches to a batch.
        examples: batches to take shapes and values from, each (batch, *input).

    Raises:
        InvalidInput: it does; the message names the operator that joins examples, where one does.
    """
    graph, inputs = _operators(module, examples, _BATCH)
    values = _run(graph, inputs)
    smaller, fewer = _operators(module, examples, _BATCH - 1)
    _check_numbers(graph, smaller, values, _run(smaller, fewer))
    output = _output(graph)
    y = values.get(output)
    if not isinstance(y, Tensor) or y.dim() < 1 or len(y) != _BATCH:
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise mixes(f"a batch of {_BATCH} examples gives an output of shape {shape}")
    if not torch.allclose(y, module(*inputs), rtol=1e-3, atol=1e-3 * float(y.abs().max()), equal_nan=True):
        raise mixes("its operators cannot be followed one by one, as some write into tensors that others see")
    followed = [_follow(graph, values, inputs, example) for example in range(_BATCH)]
    rows = torch.arange(_BATCH).view(-1, *(1,) * (y.dim() - 1))
    for example, touched in enumerate(followed):
        reached = touched.get(output)
        if reached is not None and bool((reached & (rows.to(reached.device) != example)).any()):
            raise mixes(_first_to_join(graph, followed))


def mixes(what: str) -> InvalidInput:
    """Give the error of a module whose examples do not stay apart."""
    return InvalidInput(
        "the module's output for one example depends on the others in its batch (or on the batch size): "
        f"{what}; bounds are for functions of one example: look for operations across the first axis, and for "
        "squeeze() without a dimension"
    )


def _operators(
    module: nn.Module, examples: Sequence[Tensor], batch: int
) -> tuple[fx.GraphModule, list[Tensor]]:
    """Write down the operators that a module runs on a batch of so many examples."""
    inputs = [value[:1].detach().expand(batch, *value.shape[1:]).clone() for value in examples]
    try:
        with torch.no_grad():
            made = _written_down(lambda *xs: module(*xs), inputs)
            if any(_writes(node) for node in made.graph.nodes):
                # Operators that torch takes apart late (padding around) write into tensors of their own.
                made = _written_down(made, inputs)
            return made, inputs
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise mixes(f"it cannot be run on a batch of {batch} ({line})") from error


def _written_down(function: Callable[..., Any], inputs: Sequence[Tensor]) -> fx.GraphModule:
    return make_fx(torch.func.functionalize(function, remove="mutations_and_views"))(*inputs)


def _writes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _check_numbers(
    first: fx.GraphModule,
    second: fx.GraphModule,
    values: Mapping[fx.Node, Any],
    others: Mapping[fx.Node, Any],
) -> None:
    """Check that no operator computes with the batch size, by comparing numbers and constants of two batch sizes."""
    pairs = [[n for n in g.graph.nodes if n.op == "call_function"] for g in (first, second)]
    if [n.target for n in pairs[0]] != [n.target for n in pairs[1]]:
        return  # one example after the other, perhaps
    moving = {n for n in first.graph.nodes if n.op == "placeholder"}
    for one, other in zip(*pairs, strict=True):
        elementwise = _is_elementwise(one.target) or one.target in _BY_NUMBERS
        numbers = zip((*one.args, *one.kwargs.values()), (*other.args, *other.kwargs.values()), strict=True)
        for a, b in numbers:
            counts = isinstance(a, float) or (elementwise and isinstance(a, int | list))
            if counts and a != b and not any(isinstance(n, fx.Node) for n in _nodes(a)):
                raise mixes(
                    f"{one.target} computes with {a} in a batch of {_BATCH}, with {b} in a smaller one"
                )
        # What a module counts, and what was left in memory, is another thing each time.
        changes = getattr(getattr(one.target, "_schema", None), "is_mutable", False)
        if (
            any(n in moving for n in one.all_input_nodes)
            or changes
            or str(one.target).startswith("aten.empty")
        ):
            moving.add(one)
            continue
        value, fewer = values[one], others[other]
        if isinstance(value, Tensor) and value.shape == fewer.shape and not _equal(value, fewer):
            raise mixes(f"a constant that {one.target} makes depends on the batch size")


def _nodes(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _equal(value: Tensor, other: Tensor) -> bool:
    return (
        torch.equal(value.nan_to_num(0.0), other.nan_to_num(0.0))
        if value.is_floating_point()
        else torch.equal(value, other)
    )


def _run(graph: fx.GraphModule, inputs: Sequence[Tensor]) -> dict[fx.Node, Any]:
    values: dict[fx.Node, Any] = {}
    given = iter(inputs)
    with torch.no_grad():
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(given)
            elif node.op == "get_attr":
                values[node] = getattr(graph, node.target)
            elif node.op == "call_function":
                args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = _apply(node.target, args, kwargs)
    return values


def _apply(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run an operator; one that works in place (inside of torch's recurrent layers) works on a copy."""
    schema = getattr(target, "_schema", None)
    if schema is not None and schema.is_mutable:
        args = [args[0].clone(), *args[1:]]
    return target(*args, **kwargs)


def _output(graph: fx.GraphModule) -> Any:
    (result,) = next(n for n in graph.graph.nodes if n.op == "output").args
    return result[0] if isinstance(result, list | tuple) else result


def _follow(
    graph: fx.GraphModule, values: Mapping[fx.Node, Any], inputs: Sequence[Tensor], example: int
) -> dict[fx.Node, Any]:
    """Say of each tensor that depends on the input which of its entries may depend on one example."""
    touched: dict[fx.Node, Any] = {}
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            mask = torch.zeros_like(values[node], dtype=torch.bool)
            mask[example] = True
            touched[node] = mask
        elif node.op == "call_function" and any(n in touched for n in node.all_input_nodes):
            touched[node] = _reach(node, values, touched)
    return touched


def _reach(node: fx.Node, values: Mapping[fx.Node, Any], touched: Mapping[fx.Node, Any]) -> Any:
    """Say which entries of an operator's result may depend on the example."""
    if node.target is operator.getitem:
        return touched[node.args[0]][node.args[1]]  # type: ignore[index]
    result = values[node]
    sources = [n for n in node.all_input_nodes if n in touched]
    if isinstance(result, Tensor) and _is_elementwise(node.target):
        masks = (touched[n] for n in sources)
        reached = torch.zeros(result.shape, dtype=torch.bool, device=result.device)
        for mask in masks:
            reached = reached | mask
        return reached
    if getattr(node.target, "overloadpacket", None) in _ALONG_AXIS:
        mask = touched[sources[0]]
        along = mask.any(_axis(node), keepdim=True)
        return _each(
            result, lambda t: along.expand(t.shape) if t.dim() == mask.dim() else along.squeeze(_axis(node))
        )
    with torch.no_grad():
        before, after = (_call(node, values, touched, fill) for fill in (1.0, torch.nan))
    if (
        before is None or after is None
    ):  # it takes no numbers for its booleans: anything may depend on the example
        some = any(bool(m.any()) for n in sources for m in _tensors(touched[n]))
        return _each(result, lambda t: torch.full(t.shape, some, device=t.device))
    some = any(bool(m.any()) for n in sources for m in _tensors(touched[n]))
    return _pairwise(before, after, some)


def _call(node: fx.Node, values: Mapping[fx.Node, Any], touched: Mapping[fx.Node, Any], fill: float) -> Any:
    """Run an operator on ones, and on `fill` where the example reaches; None where it cannot be run so."""

    def stand_in(source: fx.Node) -> Any:
        value = values[source]
        if source not in touched:
            return value
        kind = value.dtype if value.is_floating_point() else torch.get_default_dtype()
        return torch.ones(value.shape, dtype=kind, device=value.device).masked_fill(touched[source], fill)

    args, kwargs = fx.map_arg((node.args, node.kwargs), stand_in)
    target: Any = node.target
    try:
        if target in _OF_BOOLEANS:
            dims = [args[1]] if len(args) > 1 and isinstance(args[1], int) else list(args[1:2])
            return _OF_BOOLEANS[target](args[0], *dims, *args[2:])
        return _apply(target, args, kwargs)
    except (RuntimeError, TypeError, NotImplementedError, IndexError):
        return None


def _pairwise(before: Any, after: Any, some: bool) -> Any:
    if isinstance(before, list | tuple):
        return [_pairwise(b, a, some) for b, a in zip(before, after, strict=True)]
    if not isinstance(before, Tensor):
        return before
    if not before.is_floating_point():
        return torch.full(before.shape, some, device=before.device)
    # What is NaN without the example too cannot be told apart, and counts.
    return after.isnan() if some else torch.zeros_like(after, dtype=torch.bool)


def _is_elementwise(target: Any) -> bool:
    return target in _ELEMENTWISE or torch.Tag.pointwise in getattr(target, "tags", ())


def _axis(node: fx.Node) -> int:
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    axis = given.get("dim", -1)
    assert isinstance(axis, int)
    return axis


def _each(result: Any, function: Any) -> Any:
    if isinstance(result, list | tuple):
        return [_each(part, function) for part in result]
    return function(result) if isinstance(result, Tensor) else result


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, list | tuple):
        return [t for part in value for t in _tensors(part)]
    return [value] if isinstance(value, Tensor) else []


def _first_to_join(graph: fx.GraphModule, followed: Sequence[Mapping[fx.Node, Any]]) -> str:
    """Name the first operator of whose result an entry depends on two examples."""
    for node in graph.graph.nodes:
        reached = [touched[node] for touched in followed if node in touched]
        counts = sum(mask.int() for mask in reached if isinstance(mask, Tensor))
        if isinstance(counts, Tensor) and bool((counts > 1).any()):
            return f"{node.target} joins them"
    return "rows are put in another order"
