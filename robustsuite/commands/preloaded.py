"""Importing this module loads all that decisions load at their first use, such as torch's compiler front end.

So the clock of a decision runs for the decision alone, an alarm cannot leave half-imported modules behind, and a process
that is forked has everything.
"""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from robustsuite import bounds
from robustsuite.formats import OnnxNetwork


def _load() -> None:
    """Read, run and bound a network of two operators, one of them constant."""
    nodes = [helper.make_node("Add", ["w", "w"], ["v"]), helper.make_node("Mul", ["x", "v"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones((1, 1), np.float32), "w")
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    net = OnnxNetwork(model).eval()
    net(torch.zeros(2, 1, 1))  # several at a time are mapped
    bounds.trace(net, torch.zeros(1, 1, 1))
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.Adam([parameter]).step()


# Without gradients and in one thread: neither autograd's nor the operators' threads are there when it is forked.
_threads = torch.get_num_threads()
torch.set_num_threads(1)
with warnings.catch_warnings(), torch.no_grad():
    warnings.simplefilter("ignore")
    with contextlib.suppress(ImportError):
        import onnxruntime  # noqa: F401
    _load()
torch.set_num_threads(_threads)
