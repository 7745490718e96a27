"""Compile the graph of an ONNX file to steps: what is constant is folded, and the rest is a call per node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats.onnx_folding import FOLDED, evaluated
from robustsuite.formats.onnx_nodes import (
    STANDARD,
    attribute,
    attributes_of,
    check_inputs,
    check_outputs,
    check_types,
    describe,
    line,
    operator_of,
    schema_of,
    version_of,
)
from robustsuite.formats.onnx_operators import OPERATORS, Operator
from robustsuite.formats.onnx_types import FLOATS, Static, array_of, dtype_of, tensor_of, type_name

Argument = str | Static | None
"""The name of a live tensor or a weight; or a constant as it is; None where an optional input is absent."""

_LARGEST = 2**31
"""Entries of an input, beyond which it is a damaged file's."""


@dataclass(frozen=True, slots=True, eq=False)
class OnnxStep:
    """One operator: `function` called with `arguments` and `attributes` gives `outputs` ("" where none takes it)."""

    function: Callable[..., Tensor | tuple[Tensor, ...]]
    arguments: tuple[Argument, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[str, ...]

    def run(self, read: Callable[[str], Tensor]) -> dict[str, Tensor]:
        """Call the function; give its outputs by name.

        Args:
            read: gives the tensor of a name.
        """
        arguments = [read(a) if isinstance(a, str) else a for a in self.arguments]
        result = self.function(*arguments, **self.attributes)
        # A function may give more than its node asks for, never less: `compile_graph` has seen to it.
        results = result if isinstance(result, tuple) else (result,)
        return {name: value for name, value in zip(self.outputs, results, strict=False) if name}


@dataclass(frozen=True, slots=True, eq=False)
class OnnxProgram:
    """A compiled graph.

    Attributes:
        source: name of the input; `example`: zeros of its shape and dtype.
        steps: in order.
        output: name of the output.
        weights: the constants that the steps take as tensors, by name.
        cancelling: the first node whose rounding is not bounded, in words, if there is one (see `Operator.cancels`).
    """

    source: str
    example: Tensor
    steps: tuple[OnnxStep, ...]
    output: str
    weights: Mapping[str, Tensor]
    cancelling: str | None


def compile_graph(model: onnx.ModelProto) -> OnnxProgram:
    """Compile the graph of a model with one input and one output; free axes of the input are 1.

    Raises:
        InvalidInput: the graph is malformed, or has not one input and one output.
        UnsupportedOperator: something in it is not known; the message names it.
    """
    version = version_of(model)
    _refuse_what_no_node_shows(model)
    compiler = _Compiler(model.graph, version)
    for node in model.graph.node:
        compiler.add(node)
    return compiler.finish()


def _refuse_what_no_node_shows(model: onnx.ModelProto) -> None:
    if model.functions:
        raise UnsupportedOperator(
            f"the network brings the function '{model.functions[0].name}' of its own; expected operators alone; "
            "inline it with onnx.inliner.inline_local_functions"
        )
    if model.graph.sparse_initializer:
        raise UnsupportedOperator(
            f"the tensor '{model.graph.sparse_initializer[0].values.name}' is sparse; expected dense weights; "
            "export the network with them"
        )


def _free_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Give the inputs without an initial value: old files list their weights as inputs too."""
    weights = {initializer.name for initializer in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _example(graph: onnx.GraphProto) -> tuple[str, Tensor]:
    """Give the name of the network's input, and zeros of its shape."""
    inputs = _free_inputs(graph)
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InvalidInput(
            f"the network has {len(inputs)} inputs and {len(graph.output)} outputs; expected one of each"
        )
    name, kind = inputs[0].name, inputs[0].type.tensor_type
    if not kind.HasField("shape"):
        raise InvalidInput(f"the input '{name}' has no declared shape; export the network with one")
    dtype = dtype_of(kind.elem_type, f"the input '{name}'")
    if dtype not in FLOATS:
        raise UnsupportedOperator(
            f"the input '{name}' is {type_name(kind.elem_type)}; expected FLOAT or DOUBLE; export the network so"
        )
    shape = tuple(max(1, axis.dim_value) for axis in kind.shape.dim)
    if math.prod(shape) > _LARGEST:
        raise InvalidInput(
            f"the input '{name}' has the shape {shape}; expected up to {_LARGEST} entries; export a smaller one"
        )
    return name, torch.zeros(shape, dtype=dtype)


class _Compiler:
    """Goes through the nodes in order, and knows for each name whether it is constant or depends on the input."""

    def __init__(self, graph: onnx.GraphProto, version: int) -> None:
        self._version = version
        self._graph = graph
        self._source, self._zeros = _example(graph)
        self._used = {name for node in graph.node for name in node.input} | {graph.output[0].name}
        self._known: dict[str, Static] = {}
        self._live: dict[str, Tensor] = {self._source: self._zeros}
        self._missing: dict[str, str] = {}  # outputs that no function gives, with the line that refuses them
        self._steps: list[OnnxStep] = []
        self._weights: dict[str, Tensor] = {}
        self._cancelling: str | None = None
        for initializer in graph.initializer:
            self._once(initializer.name)
            self._known[initializer.name] = array_of(initializer, initializer.name)

    def add(self, node: onnx.NodeProto) -> None:
        """Fold a node, or make it a step."""
        self._in_order(node)
        for name in filter(None, node.output):
            self._once(name)
        if node.domain in STANDARD and node.op_type in ("Shape", "Size") and node.input[0] in self._live:
            self._measure(node)
        elif any(name in self._live for name in node.input):
            self._step(node)
        else:
            self._fold(node)

    def finish(self) -> OnnxProgram:
        output = self._graph.output[0].name
        if output in self._missing:
            raise UnsupportedOperator(self._missing[output])
        if output not in self._live:
            reason = "does not depend on its input" if output in self._known else "is made by no operator"
            raise InvalidInput(f"the network's output '{output}' {reason}; export the network again")
        if self._live[output].dtype not in FLOATS:
            raise UnsupportedOperator(
                f"the network's output '{output}' is {str(self._live[output].dtype).removeprefix('torch.')}; "
                "expected float32 or float64; cast it"
            )
        return OnnxProgram(
            self._source, self._zeros, tuple(self._steps), output, self._weights, self._cancelling
        )

    def _once(self, name: str) -> None:
        if any(name in names for names in (self._known, self._live, self._missing)):
            raise InvalidInput(f"the tensor '{name}' is made twice; expected each name once; export again")

    def _in_order(self, node: onnx.NodeProto) -> None:
        for name in filter(None, node.input):
            if name in self._missing:
                raise UnsupportedOperator(self._missing[name])
            if name not in self._live and name not in self._known:
                raise InvalidInput(
                    f"the tensor '{name}' is used before it is made; expected a graph in order; export it again"
                )

    def _measure(self, node: onnx.NodeProto) -> None:
        """Shapes do not depend on values: they are constants."""
        schema_of(node, self._version)
        attributes = {a.name: attribute(a) for a in node.attribute}
        shape = np.array(self._live[node.input[0]].shape, dtype=np.int64)
        part = slice(attributes.get("start", 0), attributes.get("end"))
        self._known[node.output[0]] = shape[part] if node.op_type == "Shape" else np.asarray(shape.prod())

    def _looked_up(self, node: onnx.NodeProto) -> tuple[Operator, onnx.defs.OpSchema, dict[str, Any]]:
        """Look a node up and check all that it says, before anything is computed."""
        operator = operator_of(node)
        schema = schema_of(node, self._version)
        attributes = attributes_of(node, schema, operator, self._version)
        check_inputs(node, schema, operator, self._version)
        check_outputs(node, schema, operator)
        if operator.cancels and self._cancelling is None:
            self._cancelling = describe(node)
        return operator, schema, attributes

    def _step(self, node: onnx.NodeProto) -> None:
        operator, schema, attributes = self._looked_up(node)
        arguments = [self._argument(node, operator, place) for place in range(len(node.input))]
        if (
            node.op_type == "Cast"
            and dtype_of(attributes["to"], f"{describe(node)}: the type to cast to") == self._zeros.dtype
        ):
            # Follows the network where it is moved to another dtype.
            arguments.append(self._source)
        step = OnnxStep(
            operator.of(self._version),
            tuple(arguments),
            attributes,
            tuple(name if name in self._used else "" for name in node.output),
        )
        values = [self._read(a) if isinstance(a, str) else a for a in arguments[: len(node.input)]]
        check_types(node, schema, operator, values)
        found = _called(node, lambda: step.run(self._read))
        self._refuse_later(node, schema, step, found)
        self._live.update(found)
        self._steps.append(step)

    def _refuse_later(
        self, node: onnx.NodeProto, schema: onnx.defs.OpSchema, step: OnnxStep, found: Mapping[str, Tensor]
    ) -> None:
        """Note outputs that the importer does not give, to be refused where they are used."""
        for place, name in enumerate(step.outputs):
            if name and name not in found:
                label = schema.outputs[min(place, len(schema.outputs) - 1)].name
                self._missing[name] = (
                    f"{describe(node)} gives the output '{label}', which is not known; export the network without it"
                )

    def _argument(self, node: onnx.NodeProto, operator: Operator, place: int) -> Argument:
        name = str(node.input[place])
        if not name:
            return None
        if name in self._live:
            if place in operator.static:
                raise UnsupportedOperator(
                    f"{describe(node)} takes '{name}', which depends on the network's input; expected a constant; "
                    "export the network with it fixed"
                )
            return name
        if place in operator.static:
            return self._known[name]
        if name not in self._weights:
            self._weights[name] = tensor_of(self._known[name], name)
        return name

    def _read(self, name: str) -> Tensor:
        return self._live[name] if name in self._live else self._weights[name]

    def _fold(self, node: onnx.NodeProto) -> None:
        """Compute a node whose inputs are all constant."""
        given = [self._known[name] if name else None for name in node.input]
        floating = any(value is not None and np.issubdtype(value.dtype, np.floating) for value in given)
        if floating and node.domain in STANDARD and node.op_type in OPERATORS:
            results = self._computed(node, given)
        elif node.domain in STANDARD and node.op_type in FOLDED:
            schema_of(node, self._version)
            results = evaluated(node, given, self._version)
        else:
            raise UnsupportedOperator(
                f"{describe(node)} is not known for constants; fold them before the export (onnxsim does)"
            )
        self._known.update((name, value) for name, value in zip(node.output, results, strict=False) if name)
        for name in node.output[len(results) :]:
            self._missing[name] = (
                f"{describe(node)} gives the output '{name}', which is not known; export without it"
            )

    def _computed(self, node: onnx.NodeProto, given: list[Static | None]) -> list[Static]:
        """Compute it as a step would."""
        operator, schema, attributes = self._looked_up(node)
        arguments = [
            value if value is None or place in operator.static else tensor_of(value, node.input[place])
            for place, value in enumerate(given)
        ]
        check_types(node, schema, operator, arguments)
        outputs = tuple(str(place) for place in range(len(node.output)))
        step = OnnxStep(operator.of(self._version), (), attributes, outputs)
        found = _called(node, lambda: _apply(step, arguments))
        return [found[name].numpy() for name in outputs if name in found]


def _apply(step: OnnxStep, arguments: list[Tensor | Static | None]) -> dict[str, Tensor]:
    result = step.function(*arguments, **step.attributes)
    return dict(zip(step.outputs, result if isinstance(result, tuple) else (result,), strict=False))


def _called(node: onnx.NodeProto, call: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    try:
        with torch.no_grad():
            return call()
    except (InvalidInput, UnsupportedOperator) as error:
        raise type(error)(f"{describe(node)}: {error}") from error
    except Exception as error:  # whatever torch finds wrong with shapes
        raise InvalidInput(
            f"{describe(node)} cannot be run: {line(error)}; export the network again"
        ) from error
