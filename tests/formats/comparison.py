"""Compare imported networks with onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as states

from robustsuite.errors import RobustsuiteError, UnsupportedOperator
from robustsuite.formats import OnnxNetwork

NOT_RUN = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.NotImplemented,
    states.RuntimeException,
)
"""What onnxruntime raises for models that it does not run."""

onnxruntime.set_default_logger_severity(4)


def reference(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Run a model in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def folded(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> onnx.ModelProto:
    """Make the input of a model a constant, and its output what is computed from it plus a new input, a number."""
    constant = onnx.ModelProto()
    constant.CopyFrom(model)
    graph = constant.graph
    graph.initializer.append(numpy_helper.from_array(x, graph.input[0].name))
    graph.node.append(helper.make_node("Add", [graph.output[0].name, "number"], ["sum"]))
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("number", TensorProto.FLOAT, []))
    graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, None))
    return constant


def compare(model: onnx.ModelProto, x: np.ndarray[Any, Any], *, rtol: float = 1e-5) -> str:
    """Say "equal", "refused: ..." (by us, by name), "not run" (by onnxruntime), or "wrong: ..."."""
    try:
        expected = reference(model, x)
    except NOT_RUN:
        return "not run"
    try:
        network = OnnxNetwork(model).eval()
        with torch.no_grad():
            got = network(torch.from_numpy(x)[None])[0].numpy()
            beside = network(torch.from_numpy(np.stack([x / 2, x])))[1].numpy()
    except UnsupportedOperator as error:
        return f"refused: {error}" if "\n" not in str(error) else f"wrong: several lines: {error}"
    except (RobustsuiteError, RuntimeError, LookupError, TypeError, ValueError) as error:
        return f"wrong: {type(error).__name__}: {error}"
    if got.shape != expected.shape:
        return f"wrong: shape {got.shape}, expected {expected.shape}"
    if not np.allclose(got, beside, rtol=1e-4, atol=1e-4, equal_nan=True):
        return f"wrong: differs in a batch by {np.abs(got - beside).max()}"
    if not np.allclose(
        got, expected, rtol=rtol, atol=rtol * max(1.0, float(np.nanmax(np.abs(expected), initial=0)))
    ):
        return f"wrong: differs by {np.abs(got - expected).max()}"
    return "equal"
