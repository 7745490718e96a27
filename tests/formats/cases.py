"""ONNX operators under test: a line per form of an operator. The test says so if the table holds one more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from robustsuite import seeding


@dataclass(frozen=True)
class Node:
    """One operator applied to an input x, and to constants.

    Args:
        operator: ONNX name.
        shape: of x.
        constants: further inputs by name, in the order of the operator's inputs unless `order` says otherwise.
        attributes: of the operator.
        positive: whether x is in [0.5, 1.5] and not in [-1, 1].
        version: of the operator set.
        order: names of the inputs; x and then the constants by default. An absent input is "".
        outputs: how many the operator gives; the first is the network's.
    """

    operator: str
    shape: tuple[int, ...] = (1, 3, 4)
    constants: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    positive: bool = False
    version: int = 18
    order: Sequence[str] | None = None
    outputs: int = 1

    def __str__(self) -> str:
        details = ",".join(f"{k}={v}" for k, v in self.attributes.items())
        return f"{self.operator}-{self.version}({details};{','.join(self.constants)})"

    def example(self, number: int = 0) -> np.ndarray[Any, Any]:
        """Give an input."""
        x = np.random.default_rng(seeding.derive(number, str(self))).uniform(-1, 1, self.shape)
        return (x / 2 + 1 if self.positive else x).astype(np.float32)

    def model(self) -> onnx.ModelProto:
        """Give a network of this operator alone."""
        names = list(self.order) if self.order is not None else ["x", *self.constants]
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.operator, names, outputs, **self.attributes)
        weights = [numpy_helper.from_array(np.asarray(v), name) for name, v in self.constants.items()]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info("y0", TensorProto.FLOAT, None)
        graph = helper.make_graph([node], "one", [x], [y], weights)
        opset = helper.make_opsetid("", self.version)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def w(*shape: int) -> np.ndarray[Any, Any]:
    """Give seeded weights."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def f(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.float32)


def i(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.int64)


IMAGE = (1, 4, 6, 6)

NODES = [
    *(
        Node(name)
        for name in (
            *("Abs", "Atan", "Celu", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity"),
            *("LeakyRelu", "Mish", "Neg", "Relu", "Selu", "Sigmoid", "Sign", "Sin", "Softmax", "LogSoftmax"),
            *("Softplus", "Softsign", "Tan", "Tanh", "ThresholdedRelu", "Dropout", "Mean", "Flatten", "Transpose"),
            *("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"),
            *("ReduceSumSquare", "LpNormalization", "Ceil"),
        )
    ),
    *(Node(name, positive=True) for name in ("Log", "Sqrt", "Reciprocal", "ReduceLogSum")),
    Node("LSTM", (4, 1, 2), constants={"w": w(2, 12, 2), "r": w(2, 12, 3), "b": w(2, 24)}, attributes={"hidden_size": 3, "direction": "bidirectional"}),
    Node("GRU", (4, 1, 2), constants={"w": w(1, 9, 2), "r": w(1, 9, 3), "b": w(1, 18)}, attributes={"hidden_size": 3, "direction": "reverse"}),
    Node("GRU", (4, 1, 2), constants={"w": w(1, 9, 2), "r": w(1, 9, 3)}, attributes={"hidden_size": 3, "linear_before_reset": 1}),
    Node("RNN", (4, 1, 2), constants={"w": w(1, 3, 2), "r": w(1, 3, 3)}, attributes={"hidden_size": 3}),
    Node("Resize", IMAGE, constants={"scales": f(1, 1, 2, 1.5)}, attributes={"mode": "linear"}, order=["x", "", "scales"]),
    Node("Resize", IMAGE, constants={"scales": f(1, 1, 2, 1.5)}, attributes={"mode": "cubic"}, order=["x", "", "scales"]),
    Node("MaxPool", IMAGE, attributes={"kernel_shape": [3, 3], "pads": [0, 1, 2, 0], "strides": [2, 2], "ceil_mode": 1}),
    Node("AveragePool", IMAGE, attributes={"kernel_shape": [3, 3], "pads": [0, 1, 2, 0], "strides": [2, 2], "ceil_mode": 1}),
    Node("Pad", IMAGE, constants={"p": i(0, 1, 1, 2, 0, 2, 2, 1)}, attributes={"mode": "reflect"}),
    *(Node(name, constants={"c": w(3, 1)}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")),
    Node("Sub", constants={"c": w(3, 4)}, order=["c", "x"]),
    Node("Div", constants={"c": w(3, 4)}, order=["c", "x"], positive=True),
    Node("Pow", constants={"c": f(2.0)}),
    Node("Pow", constants={"c": np.float32(3.0)}),
    Node("PRelu", constants={"c": abs(w(3, 1))}),
    Node("Gelu", version=20),
    Node("Gelu", attributes={"approximate": "tanh"}, version=20),
    Node("Cast", attributes={"to": TensorProto.FLOAT}),
    Node("Clip", constants={"low": np.float32(-0.2), "high": np.float32(0.4)}),
    Node("Clip", constants={"high": np.float32(0.4)}, order=["x", "", "high"]),
    Node("Clip", attributes={"min": -0.3, "max": 0.1}, version=10),
    Node("MatMul", constants={"c": w(4, 5)}),
    Node("MatMul", constants={"c": w(2, 3)}, order=["c", "x"]),
    Node("Gemm", (2, 4), constants={"b": w(4, 5), "c": w(5)}),
    Node("Gemm", (4, 2), constants={"b": w(5, 4), "c": w(2, 5)}, attributes={"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    Node("Einsum", (2, 3), constants={"c": w(3, 4)}, attributes={"equation": "ij,jk->ki"}),
    Node("Conv", IMAGE, constants={"w": w(2, 4, 3, 3), "b": w(2)}, attributes={"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    Node("Conv", IMAGE, constants={"w": w(2, 4, 3, 3)}, attributes={"pads": [0, 1, 2, 1]}),
    Node("Conv", IMAGE, constants={"w": w(2, 4, 2, 2)}, attributes={"auto_pad": "SAME_UPPER"}),
    Node("Conv", IMAGE, constants={"w": w(2, 4, 2, 2)}, attributes={"auto_pad": "SAME_LOWER"}),
    Node("Conv", IMAGE, constants={"w": w(4, 2, 3, 3)}, attributes={"group": 2, "dilations": [2, 2]}),
    Node("Conv", (1, 2, 7), constants={"w": w(3, 2, 3)}),
    Node("ConvTranspose", IMAGE, constants={"w": w(4, 2, 3, 3), "b": w(2)}, attributes={"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    Node("ConvTranspose", IMAGE, constants={"w": w(4, 2, 3, 3)}, attributes={"pads": [0, 1, 1, 0]}),
    Node("BatchNormalization", IMAGE, constants={"s": w(4), "b": w(4), "m": w(4), "v": abs(w(4)) + 0.5}),
    Node("InstanceNormalization", IMAGE, constants={"s": w(4), "b": w(4)}),
    Node("GroupNormalization", IMAGE, constants={"s": w(4), "b": w(4)}, attributes={"num_groups": 2}, version=21),
    Node("LayerNormalization", constants={"s": w(4), "b": w(4)}),
    Node("MaxPool", IMAGE, attributes={"kernel_shape": [2, 2], "strides": [2, 2]}),
    Node("MaxPool", IMAGE, attributes={"kernel_shape": [3, 3], "pads": [0, 1, 1, 0], "strides": [2, 2]}),
    Node("AveragePool", IMAGE, attributes={"kernel_shape": [2, 2], "strides": [2, 2]}),
    Node("AveragePool", IMAGE, attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    Node("AveragePool", IMAGE, attributes={"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    Node("GlobalAveragePool", IMAGE),
    Node("GlobalMaxPool", IMAGE),
    Node("Reshape", constants={"s": i(0, -1)}),
    Node("Flatten", attributes={"axis": 2}),
    Node("Squeeze", constants={"a": i(0)}),
    Node("Squeeze", attributes={"axes": [0]}, version=11),
    Node("Unsqueeze", constants={"a": i(0, -1)}),
    Node("Unsqueeze", attributes={"axes": [1]}, version=11),
    Node("Concat", constants={"c": w(1, 2, 4)}, attributes={"axis": 1}),
    Node("Split", constants={"s": i(1, 2)}, attributes={"axis": 1}, outputs=2),
    Node("Split", attributes={"axis": 2, "num_outputs": 2}, outputs=2),
    Node("Split", attributes={"axis": 1, "split": [2, 1]}, version=11, outputs=2),
    Node("Slice", constants={"s": i(1, 3), "e": i(9, 0), "a": i(1, 2), "t": i(1, -2)}),
    Node("Slice", constants={"s": i(-2), "e": i(2**60), "a": i(-1)}),
    Node("Slice", attributes={"starts": [1], "ends": [3], "axes": [2]}, version=9),
    Node("Gather", constants={"i": i(2, -1)}, attributes={"axis": 1}),
    Node("Gather", constants={"i": np.array(1)}, attributes={"axis": 2}),
    Node("GatherElements", constants={"i": np.array([[[0, -1, 1, 1]]])}, attributes={"axis": 1}),
    Node("Pad", constants={"p": i(0, 1, 0, 0, 0, 2), "v": np.float32(0.5)}),
    Node("Pad", IMAGE, constants={"p": i(0, 0, 1, 2, 0, 0, 2, 1)}, attributes={"mode": "reflect"}),
    Node("Pad", IMAGE, constants={"p": i(0, 0, 1, 2, 0, 0, 2, 1)}, attributes={"mode": "edge"}),
    Node("Pad", attributes={"pads": [0, 0, 1, 0, 0, 1], "value": 2.0}, version=10),
    Node("Expand", (1, 3, 1), constants={"s": i(2, 1, 4)}),
    Node("Tile", constants={"r": i(1, 2, 1)}),
    Node("Transpose", attributes={"perm": [1, 0, 2]}),
    Node("CumSum", constants={"a": np.array(1)}),
    Node("CumSum", constants={"a": np.array(2)}, attributes={"exclusive": 1, "reverse": 1}),
    Node("Trilu", attributes={"upper": 0}),
    Node("Where", constants={"c": np.array([[True], [False], [True]]), "y": w(3, 4)}, order=["c", "x", "y"]),
    Node("Softmax", attributes={"axis": 1}, version=11),
    Node("ReduceSum", constants={"a": i(-1)}, attributes={"keepdims": 0}),
    Node("ReduceMean", attributes={"axes": [1], "keepdims": 0}, version=13),
    Node("DepthToSpace", IMAGE, attributes={"blocksize": 2}),
    Node("DepthToSpace", IMAGE, attributes={"blocksize": 2, "mode": "CRD"}),
    Node("SpaceToDepth", IMAGE, attributes={"blocksize": 2}),
    Node("Resize", IMAGE, constants={"scales": f(1, 1, 2, 3)}, attributes={"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, order=["x", "", "scales"]),
    Node("Upsample", IMAGE, constants={"scales": f(1, 1, 2, 2)}, version=9),
]  # fmt: skip
