"""Networks in ONNX files as torch modules.

What depends on constants and shapes alone is folded when the file is read (with onnx's own reference evaluator);
the rest is run operator by operator through the table of `robustsuite.formats.onnx_operators`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats import compressed
from robustsuite.formats.onnx_operators import OPERATORS, Operator, Static

_STANDARD = ("", "ai.onnx")


class OnnxNetwork(nn.Module):
    """A network of one input and one output, read from an ONNX file.

    It maps (batch, *input_shape) to (batch, *output_shape), where both are the shapes that the file declares, with
    1 for a free axis: a batch axis of the file itself stays a part of the example. The weights are parameters that
    do not ask for a gradient.

    Attributes:
        input_shape, output_shape: of one example.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        self.input_shape = _input_shape(model.graph)
        self._steps, self._output, weights = _compile(model, self.input_shape)
        self._weights = nn.ParameterDict(
            {_key(name): nn.Parameter(value, requires_grad=False) for name, value in weights.items()}
        )
        self._input = _free_inputs(model.graph)[0].name
        with torch.no_grad():
            self.output_shape = tuple(self._run(torch.zeros(self.input_shape)).shape)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) == 1:
            return self._run(x.squeeze(0)).unsqueeze(0)
        outputs: Tensor = torch.vmap(self._run)(x)
        return outputs

    def _run(self, x: Tensor) -> Tensor:
        values: dict[str, Any] = {self._input: x}
        for step in self._steps:
            arguments = [self._argument(values, argument) for argument in step.arguments]
            result = step.function(*arguments, **step.attributes)
            results = result if isinstance(result, tuple) else (result,)
            # A node may name fewer outputs than its function gives (masks, indices), never more.
            values.update(zip(step.outputs, results, strict=False))
        output = values[self._output]
        assert isinstance(output, Tensor)
        return output

    def _argument(self, values: Mapping[str, Any], argument: _Argument) -> Any:
        if isinstance(argument, str):
            return values[argument] if argument in values else self._weights[_key(argument)]
        return argument


_Argument = str | Static | None
"""The name of a live tensor or a weight; or a constant as it is; None where an optional input is absent."""


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One operator: `function` called with `arguments` and `attributes` gives `outputs`."""

    function: Any
    arguments: tuple[_Argument, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[str, ...]


def load_onnx(path: Path) -> OnnxNetwork:
    """Read a network from an ONNX file (may be gzipped).

    Returns:
        The network in eval mode, float32 (or what the file holds).

    Raises:
        InvalidInput: the file is absent, damaged, or has not one input and one output.
        UnsupportedOperator: an operator is not in the table; the message names it.
    """
    data = compressed.read(path)
    try:
        model = onnx.load_model_from_string(data)
        if not model.graph.node:
            raise ValueError("it holds no operators")
        if path.suffix != ".gz":
            onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # the parser of protocol buffers has errors of its own
        raise InvalidInput(f"{path} is not an ONNX network: {_line(error)}") from error
    try:
        return OnnxNetwork(model).eval()
    except (InvalidInput, UnsupportedOperator) as error:
        raise type(error)(f"{path}: {error}") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _key(name: str) -> str:
    """Give a name that a parameter may have."""
    return "w_" + name.replace(".", "_dot_")


def _free_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Give the inputs without an initial value: old files list their weights as inputs too."""
    weights = {initializer.name for initializer in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _input_shape(graph: onnx.GraphProto) -> tuple[int, ...]:
    inputs = _free_inputs(graph)
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InvalidInput(
            f"the network has {len(inputs)} inputs and {len(graph.output)} outputs; expected one of each"
        )
    kind = inputs[0].type.tensor_type
    if not kind.HasField("shape"):
        raise InvalidInput(f"the input '{inputs[0].name}' has no declared shape")
    return tuple(max(1, axis.dim_value) for axis in kind.shape.dim)


def _compile(
    model: onnx.ModelProto, input_shape: tuple[int, ...]
) -> tuple[tuple[_Step, ...], str, dict[str, Tensor]]:
    """Fold what is constant; give the steps that are left, the output's name and the weights they use."""
    graph = model.graph
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = next((versions[domain] for domain in _STANDARD if domain in versions), 1)
    (source,) = _free_inputs(graph)
    known: dict[str, np.ndarray[Any, Any]] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    live: dict[str, Tensor] = {source.name: torch.zeros(input_shape)}
    steps: list[_Step] = []
    weights: dict[str, Tensor] = {}

    def argument(name: str, *, as_number: bool) -> _Argument:
        if not name:
            return None
        if name in live:
            return name
        if name not in known:
            raise InvalidInput(f"the tensor '{name}' is used before it is made; the graph is not in order")
        value = known[name]
        if as_number or not np.issubdtype(value.dtype, np.floating):
            return value
        weights[name] = torch.from_numpy(np.array(value))
        return name

    for node in graph.node:
        attributes = {a.name: _attribute(a) for a in node.attribute}
        if node.op_type in ("Shape", "Size") and node.input[0] in live:
            shape = np.array(live[node.input[0]].shape, dtype=np.int64)
            known[node.output[0]] = (
                shape[attributes.get("start", 0) : attributes.get("end")]
                if node.op_type == "Shape"
                else shape.prod()
            )
        elif all(name in known or not name for name in node.input):
            known.update(zip(node.output, _folded(node, known, version), strict=False))
        else:
            operator = _operator(node)
            arguments = tuple(
                argument(name, as_number=place in operator.numbers) for place, name in enumerate(node.input)
            )
            steps.append(_Step(operator.of(version), arguments, attributes, tuple(node.output)))
            live.update(_results(steps[-1], live, weights, node))
    output = graph.output[0].name
    if output not in live:
        raise InvalidInput("the network's output does not depend on its input")
    return tuple(steps), output, weights


def _operator(node: onnx.NodeProto) -> Operator:
    operator = OPERATORS.get(node.op_type) if node.domain in _STANDARD else None
    if operator is None:
        name = f"{node.domain}.{node.op_type}" if node.domain not in _STANDARD else node.op_type
        raise UnsupportedOperator(
            f"the ONNX operator '{name}' (node '{node.name}') is not known; add a line to the table in "
            "robustsuite/formats/onnx_operators.py"
        )
    return operator


def _results(
    step: _Step, live: Mapping[str, Tensor], weights: Mapping[str, Tensor], node: onnx.NodeProto
) -> dict[str, Tensor]:
    """Run a step on the example, to know the shapes of its outputs."""
    arguments = [(live[a] if a in live else weights[a]) if isinstance(a, str) else a for a in step.arguments]
    try:
        with torch.no_grad():
            result = step.function(*arguments, **step.attributes)
    except (InvalidInput, UnsupportedOperator):
        raise
    except Exception as error:
        raise InvalidInput(
            f"the operator {node.op_type} (node '{node.name}') cannot be run: {_line(error)}"
        ) from error
    return dict(zip(step.outputs, result if isinstance(result, tuple) else (result,), strict=False))


def _folded(
    node: onnx.NodeProto, known: Mapping[str, np.ndarray[Any, Any]], version: int
) -> list[np.ndarray[Any, Any]]:
    """Evaluate a node whose inputs are all constant."""
    try:
        with _quiet():
            given = {name: known[name] for name in node.input if name}
            graph = helper.make_graph(
                [node],
                "constant",
                [_declared(name, value.dtype) for name, value in given.items()],
                [_declared(name) for name in node.output if name],
            )
            opset = helper.make_opsetid("", version)
            results = ReferenceEvaluator(helper.make_model(graph, opset_imports=[opset])).run(None, given)
    except Exception as error:
        raise InvalidInput(
            f"the constant node '{node.name}' ({node.op_type}) fails: {_line(error)}"
        ) from error
    return [np.asarray(result) for result in results]


def _declared(name: str, dtype: Any = np.float32) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value
