"""Nodes of constants that are no floats, computed when a file is read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats.onnx_nodes import describe, line
from robustsuite.formats.onnx_types import Static

FOLDED = frozenset(
    {
        *(
            "Abs",
            "Add",
            "And",
            "Cast",
            "Ceil",
            "Concat",
            "Constant",
            "ConstantOfShape",
            "Div",
            "Equal",
            "Expand",
        ),
        *("Flatten", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less"),
        *("LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "Or", "Range", "ReduceMax"),
        *("ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterND", "Shape", "Size", "Slice", "Split"),
        *("Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor"),
    }
)
"""Operators that onnx's reference evaluator computes as onnxruntime does, on constants that are no floats."""

_IN_DOUBLES = {"ReduceSum": 1, "ReduceProd": 1, "Range": 3}
"""Operators that onnxruntime computes in doubles, with the number of inputs that are not axes. All others wrap."""


def evaluated(node: onnx.NodeProto, given: list[Static | None], version: int) -> list[Static]:
    """Compute a node of constants with onnx's reference evaluator.

    Raises:
        InvalidInput: it cannot be computed.
        UnsupportedOperator: onnxruntime would compute something else, as numbers are too large.
    """
    _refuse_large(node, given)
    try:
        with _quiet():
            values = {name: value for name, value in zip(node.input, given, strict=True) if value is not None}
            graph = helper.make_graph(
                [node],
                "constant",
                [_declared(name, value.dtype) for name, value in values.items()],
                [_declared(name) for name in node.output if name],
            )
            opset = helper.make_opsetid("", version)
            results = ReferenceEvaluator(helper.make_model(graph, opset_imports=[opset])).run(None, values)
            arrays = iter([np.asarray(result) for result in results])
    except Exception as error:  # of the evaluator
        raise InvalidInput(
            f"{describe(node)}, a constant, cannot be computed: {line(error)}; export the network again"
        ) from error
    return [next(arrays) if name else np.empty(0) for name in node.output]


def _refuse_large(node: onnx.NodeProto, given: list[Static | None]) -> None:
    """Refuse whole numbers that onnxruntime computes in doubles, and cuts off at the ends of their type."""
    inputs = [value for value in given if value is not None]
    if node.op_type not in _IN_DOUBLES or any(value.dtype.kind not in "iu" for value in inputs):
        return
    # Python's integers have no end. All entries together bound each partial result, whatever the axes are.
    numbers = [abs(int(value)) for array in inputs[: _IN_DOUBLES[node.op_type]] for value in array.flat]
    size = math.prod(max(n, 1) for n in numbers) if node.op_type == "ReduceProd" else sum(numbers)
    most = min(2**53, *(int(np.iinfo(value.dtype).max) for value in inputs[:1]))
    if size > most:
        raise UnsupportedOperator(
            f"{describe(node)} computes with whole numbers that may go beyond {most}; expected results that doubles "
            f"and {inputs[0].dtype} hold exactly; fold them before the export (onnxsim does)"
        )


def _declared(name: str, dtype: Any = np.float32) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
