"""Forms of every ONNX operator: its attributes and constant inputs with all values to try, crossed with each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from robustsuite import seeding
from tests.formats.cases import IMAGE, f, i, w


@dataclass(frozen=True)
class Form:
    """An operator applied to an input x, in all combinations of what may be set.

    Args:
        operator: ONNX name.
        shape: of x.
        values: for an attribute or a constant input the values to try; None leaves it out. Where the operator set
            has it as an input, the value is one; "a|b" names one thing that has two names.
        live: name or position of the input that is x.
        others: further inputs of an operator that takes any number.
        positive: whether x is in [0.5, 1.5] and not in [-1, 1].
        wide: what x is multiplied with.
        cast: type that x is cast to first, and from which the result is cast back.
        outputs: how many are asked for; the network's is number `output`.
        since, until: versions of the operator set for which the form is meant.
    """

    operator: str
    shape: tuple[int, ...] = (1, 3, 4)
    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    live: int = 0
    others: Sequence[Any] = ()
    positive: bool = False
    wide: float = 1.0
    cast: int = TensorProto.FLOAT
    outputs: int = 1
    output: int = 0
    since: int = 7
    until: int = 99

    def combinations(self, version: int) -> Iterator[dict[str, Any]]:
        """Give what is set, by the names that the version has; each once."""
        schema = defs.get_schema(self.operator, version, "")
        inputs = {entry.name for entry in schema.inputs}
        seen = set()
        for chosen in itertools.product(*self.values.values()):
            found = {}
            for names, value in zip(self.values, chosen, strict=True):
                name = next((n for n in names.split("|") if n in inputs or n in schema.attributes), None)
                if name in schema.attributes and np.size(value) == 0:
                    continue  # a list without entries has no type
                if name is not None and value is not None:
                    found[name] = value
            if repr(found) not in seen:
                seen.add(repr(found))
                yield found

    def some(self, version: int, limit: int) -> list[dict[str, Any]]:
        """Give up to `limit` of the combinations, evenly spread."""
        found = list(self.combinations(version))
        return found[:: -(-len(found) // limit)]

    def example(self, number: int = 0) -> np.ndarray[Any, Any]:
        """Give an input."""
        generator = np.random.default_rng(seeding.derive(number, f"{self.operator}{self.shape}"))
        x = generator.uniform(-1, 1, self.shape)
        return ((x / 2 + 1 if self.positive else x) * self.wide).astype(np.float32)

    def model(self, version: int, chosen: Mapping[str, Any]) -> onnx.ModelProto:
        """Give a network of this operator alone."""
        schema = defs.get_schema(self.operator, version, "")
        weights, names = [], []
        for place, entry in enumerate(schema.inputs):
            if place == self.live:
                names.append("x0" if self.cast != TensorProto.FLOAT else "x")
            elif entry.name in chosen:
                weights.append(numpy_helper.from_array(np.asarray(chosen[entry.name]), entry.name))
                names.append(entry.name)
            else:
                names.append("")
        for place, other in enumerate(self.others):
            weights.append(numpy_helper.from_array(np.asarray(other), f"o{place}"))
            names.append(f"o{place}")
        while names and not names[-1]:
            names.pop()
        given = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in chosen.items()
            if name in schema.attributes
        }
        outputs = [f"y{place}" for place in range(self.outputs)]
        nodes = [helper.make_node(self.operator, names, outputs, **given)]
        result = f"y{self.output}"
        if self.cast != TensorProto.FLOAT:
            nodes.insert(0, helper.make_node("Cast", ["x"], ["x0"], to=self.cast))
        if self.cast != TensorProto.FLOAT or self.operator in BOOLEAN:
            nodes.append(helper.make_node("Cast", [result], ["z"], to=TensorProto.FLOAT))
            result = "z"
        return network(nodes, weights, self.shape, result, version)


BOOLEAN = (
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "And",
    "Or",
    "Xor",
    "Not",
    "Cast",
    "CastLike",
)


def network(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto],
    shape: Sequence[int],
    output: str,
    version: int,
) -> onnx.ModelProto:
    """Give a model with the input x, float32."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "net", [x], [y], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def versions(operator: str, oldest: int, newest: int) -> list[int]:
    """Give a version of the operator set for each form that the operator had from `oldest` to `newest`."""
    found: dict[int, int] = {}
    for version in range(oldest, newest + 1):
        if defs.has(operator, version, ""):
            schema = defs.get_schema(operator, version, "")
            if not schema.deprecated:
                found.setdefault(schema.since_version, version)
    return list(found.values())


VOLUME = (1, 2, 5, 4, 6)
PADS = [None, [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 2, 1], [0, 0, 1, 1]]
AUTO = ["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]
TYPES = [
    getattr(TensorProto, t)
    for t in (
        "FLOAT",
        "DOUBLE",
        "FLOAT16",
        "BFLOAT16",
        "INT64",
        "INT32",
        "INT16",
        "INT8",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "BOOL",
    )
]
REDUCED: dict[str, list[Any]] = {
    "axes": [None, i(), i(1), i(-1), i(0, 2), i(0, 1, 2)],
    "keepdims": [None, 0, 1],
    "noop_with_empty_axes": [None, 0, 1],
}
RECURRENT: dict[str, list[Any]] = {
    "direction": [None, "forward", "reverse"],
    "hidden_size": [3],
    "clip": [None, 0.1],
    "layout": [None, 1],
}
RESIZED: dict[str, list[Any]] = {
    "mode": ["nearest", "linear", "cubic"],
    "coordinate_transformation_mode": [
        None,
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_half_pixel_for_nn",
        "tf_crop_and_resize",
    ],
    "roi": [f()],
    "nearest_mode": [None, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
}


def recurrent(operator: str, gates: int, directions: int) -> dict[str, list[Any]]:
    """Give weights for one direction or two."""
    return {
        "W": [w(directions, gates * 3, 2)],
        "R": [w(directions, gates * 3, 3)],
        "B": [None, w(directions, gates * 6)],
        "initial_h": [None, w(directions, 1, 3)],
        **({"initial_c": [None, w(directions, 1, 3)]} if operator == "LSTM" else {}),
    }


FORMS = [
    *(
        Form(name, wide=3.0)
        for name in (
            *("Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Identity", "Mish", "Neg", "Relu"),
            *("Round", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh"),
        )
    ),
    Form("Tan"),
    *(Form(name, positive=True) for name in ("Log", "Sqrt", "Reciprocal")),
    *(Form(name, cast=TensorProto.BOOL) for name in ("Not", "Identity")),
    *(Form(name, (3, 4), cast=TensorProto.BOOL, values={"B": [np.array([[True], [False], [True]])]}) for name in ("And", "Or", "Xor", "Equal")),
    *(
        Form(name, live=live, values={("B", "A")[live]: [w(3, 4), w(3, 1), f(0.1), np.float32(0.3)]}, positive=name == "Div")
        for name in ("Add", "Sub", "Mul", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
        for live in (0, 1)
    ),
    *(Form(name, cast=TensorProto.INT32, wide=4, values={"B": [np.array([[1], [-2], [0]], np.int32)]}) for name in ("Add", "Sub", "Mul", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")),
    *(Form(name, cast=TensorProto.DOUBLE, values={"B": [w(3, 4).astype(np.float64)]}) for name in ("Add", "Mul", "Greater", "Equal")),
    *(Form(name, others=others) for name in ("Max", "Min", "Mean", "Sum") for others in ((), (w(3, 1),), (w(3, 4), w(4)))),
    *(Form(name, cast=TensorProto.INT32, wide=4) for name in ("Abs", "Neg", "Relu", "Sign", "Identity", "Flatten", "Transpose")),
    *(Form(name, cast=TensorProto.FLOAT16) for name in ("Relu", "Identity", "Transpose", "Exp")),
    *(Form(name, cast=TensorProto.DOUBLE) for name in ("Relu", "Identity", "Transpose", "Exp", "Floor", "Softmax")),
    Form("Pow", positive=True, values={"Y": [f(2.0), np.float32(3.0), np.float32(-1.5), np.int64(2), f(1.0, 2.0, 3.0, 4.0)]}),
    Form("Pow", live=1, values={"X": [f(2.0)]}),
    Form("PRelu", values={"slope": [abs(w(3, 1)), -abs(w(4)), f(0.3)]}),
    Form("Celu", values={"alpha": [None, 0.5, 2.0, -1.0]}),
    Form("Elu", values={"alpha": [None, 0.5, 2.0, -1.0]}),
    Form("Selu", values={"alpha": [None, 0.5], "gamma": [None, 2.0]}),
    Form("LeakyRelu", values={"alpha": [None, 0.5, 2.0, -1.0, 0.0]}),
    Form("ThresholdedRelu", values={"alpha": [None, 0.2, -0.3]}),
    Form("HardSigmoid", wide=4, values={"alpha": [None, 0.5, -0.4], "beta": [None, 0.1]}),
    Form("Gelu", values={"approximate": [None, "none", "tanh"]}),
    Form("Cast", wide=9, values={"to": TYPES, "saturate": [None, 0], "round_mode": [None, "down"]}),
    Form("Cast", wide=9, values={"to": TYPES, "saturate": [None]}, cast=TensorProto.INT32),
    Form("Cast", wide=9, values={"to": TYPES, "saturate": [None]}, cast=TensorProto.DOUBLE),
    Form("Cast", wide=400, values={"to": TYPES, "saturate": [None]}),
    Form("CastLike", wide=9, values={"target_type": [np.zeros(1, t) for t in (np.float32, np.float64, np.int64, np.bool_, np.float16)], "saturate": [None, 0], "round_mode": [None, "down"]}),
    Form("Clip", values={"min": [None, np.float32(-0.2), np.float32(0.6)], "max": [None, np.float32(0.4)]}),
    Form("Dropout", values={"ratio": [None, np.float32(0.3)], "seed": [None, 3], "training_mode": [None, np.array(False), np.array(True)]}),
    Form("Dropout", outputs=2),
    Form("MatMul", values={"B": [w(4, 5), w(2, 4, 5), w(4)]}),
    Form("MatMul", live=1, values={"A": [w(2, 3), w(3)]}),
    Form("Gemm", (2, 4), values={"B": [w(4, 5)], "C": [None, w(5), w(2, 5), w(2, 1), f(0.3)], "alpha": [None, 0.5], "beta": [None, 2.0], "transA": [None, 0], "transB": [None]}),
    Form("Gemm", (4, 2), values={"B": [w(5, 4)], "C": [None, w(5), w(2, 1)], "alpha": [None, 0.5], "beta": [None, 2.0], "transA": [1], "transB": [1]}),
    Form("Einsum", (2, 3), others=(w(3, 4),), values={"equation": ["ij,jk->ki", "ij,jk", "ij,jk->", "ij,jk->ijk", "bA,Ac"]}),
    Form("Einsum", (3, 3), values={"equation": ["ii->i", "ij->ji", "ii", "...j->j...", "ba"]}),
    *(
        Form(
            "Conv", IMAGE,
            values={"W": [w(2, 4 // group, *kernel)], "B": [None, w(2)], "group": [group] if group > 1 else [None, 1], "pads": pads, "auto_pad": auto, "strides": [None, [2, 1]], "dilations": [None, [1, 2]], "kernel_shape": [None, list(kernel)]},
        )
        for group in (1, 2)
        for kernel in ((3, 3), (2, 1))
        for pads, auto in ((PADS, [None]), ([None], AUTO))
    ),
    Form("Conv", (1, 2, 7), values={"W": [w(3, 2, 3)], "pads": [None, [1, 2]]}),
    Form("Conv", VOLUME, values={"W": [w(3, 2, 3, 2, 2)], "pads": [None, [1, 0, 1, 0, 0, 1]]}),
    *(
        Form(
            "ConvTranspose", (1, 4, 4, 5),
            values={"W": [w(4, 2, 3, 2)], "B": [None, w(2 * group)], "group": [group] if group > 1 else [None], "pads": pads, "auto_pad": auto, "strides": [None, [2, 3]], "dilations": [None, [1, 2]], "kernel_shape": [None, [3, 2]], "output_padding": [None, [1, 0]], "output_shape": [None, [6, 7], [9, 15], [12, 20]]},
        )
        for group in (1, 2)
        for pads, auto in ((PADS, [None]), ([None], AUTO))
    ),
    Form("ConvTranspose", (1, 2, 5), values={"W": [w(2, 3, 3)], "pads": [None, [1, 0]], "output_shape": [None, [6]]}),
    Form("BatchNormalization", IMAGE, values={"scale": [w(4)], "B": [w(4)], "mean|input_mean": [w(4)], "var|input_var": [abs(w(4)) + 0.5], "epsilon": [None, 0.1], "momentum": [None, 0.5], "spatial": [None, 0, 1], "training_mode": [None, 0, 1]}),
    Form("BatchNormalization", (2, 3), values={"scale": [w(3)], "B": [w(3)], "mean|input_mean": [w(3)], "var|input_var": [abs(w(3)) + 0.5]}),
    Form("InstanceNormalization", IMAGE, values={"scale|input": [w(4)], "B": [w(4)], "epsilon": [None, 0.1]}),
    Form("GroupNormalization", IMAGE, values={"scale": [w(2)], "bias": [w(2)], "num_groups": [2], "epsilon": [None, 0.1]}, until=20),
    Form("GroupNormalization", IMAGE, values={"scale": [w(4)], "bias": [w(4)], "num_groups": [1, 2, 4], "epsilon": [None, 0.1], "stash_type": [None, 1, 11]}, since=21),
    Form("LayerNormalization", values={"Scale": [w(4)], "B": [None, w(4)], "axis": [None, -1, 2], "epsilon": [None, 0.1], "stash_type": [None, 1, 11]}),
    Form("LayerNormalization", values={"Scale": [w(3, 4), w(3, 1), w(4)], "B": [None, w(3, 4)], "axis": [1, -2]}),
    Form("LayerNormalization", values={"Scale": [w(4)]}, outputs=3, output=1),
    Form("LpNormalization", values={"p": [None, 1, 2], "axis": [None, 0, 1, -1]}),
    *(
        Form(
            "MaxPool", shape,
            values={"kernel_shape": kernels, "pads": pads, "auto_pad": auto, "strides": strides, "dilations": dilations, "ceil_mode": [None, 1]},
        )
        for shape, kernels, pads, auto, strides, dilations in (
            (IMAGE, [[2, 2], [3, 3], [3, 2]], PADS, [None], [None, [2, 2], [3, 2]], [None, [1, 2]]),
            (IMAGE, [[2, 2], [3, 2]], [None], AUTO, [None, [2, 2], [3, 2]], [None, [1, 2]]),
            ((1, 2, 7), [[2], [3]], [None, [1, 0], [1, 1]], [None], [None, [2]], [None, [2]]),
            (VOLUME, [[2, 2, 2], [3, 2, 3]], [None, [1, 0, 1, 0, 1, 1]], [None], [None, [2, 2, 3]], [None]),
        )
    ),
    Form("MaxPool", IMAGE, values={"kernel_shape": [[2, 2]], "storage_order": [None, 1]}, outputs=2),
    *(
        Form(
            "AveragePool", shape,
            values={"kernel_shape": kernels, "pads": pads, "auto_pad": auto, "strides": strides, "dilations": dilations, "ceil_mode": [None, 1], "count_include_pad": [None, 1]},
        )
        for shape, kernels, pads, auto, strides, dilations in (
            (IMAGE, [[2, 2], [3, 3], [3, 2]], PADS, [None], [None, [2, 2], [3, 2]], [None, [1, 2]]),
            (IMAGE, [[2, 2], [3, 2]], [None], AUTO, [None, [2, 2], [3, 2]], [None, [1, 2]]),
            ((1, 2, 7), [[2], [3]], [None, [1, 0], [1, 1]], [None], [None, [2]], [None, [2]]),
            (VOLUME, [[2, 2, 2], [3, 2, 3]], [None, [1, 0, 1, 0, 1, 1]], [None], [None, [2, 2, 3]], [None]),
        )
    ),
    *(Form(name, shape) for name in ("GlobalAveragePool", "GlobalMaxPool") for shape in (IMAGE, (1, 2, 7), VOLUME)),
    Form("Reshape", values={"shape": [i(0, -1), i(12), i(2, 0, 2), i(-1, 0, 3)], "allowzero": [None, 0, 1]}),
    Form("Flatten", values={"axis": [None, 0, 1, 2, 3, -1]}),
    Form("Squeeze", (1, 3, 1, 2), values={"axes": [None, i(0), i(-2), i(0, 2)]}),
    Form("Unsqueeze", values={"axes": [i(0), i(-1), i(0, -1), i(1, 3)]}),
    *(Form("Concat", others=others, values={"axis": [axis]}) for axis, others in ((1, (w(1, 2, 4),)), (-1, (w(1, 3, 1), w(1, 3, 2))), (0, ()))),
    Form("Split", (1, 4, 6), values={"split": [None, i(1, 5), i(3, 3)], "axis": [2, -1], "num_outputs": [None, 2]}, outputs=2, output=1),
    Form("Split", (4, 3), values={"axis": [None], "split": [None, i(1, 3)], "num_outputs": [None, 2]}, outputs=2),
    Form("Split", (1, 5), values={"axis": [1], "num_outputs": [3]}, outputs=3, output=2, since=18),
    Form("Slice", values={"starts": [i(0, 1), i(-2, -9)], "ends": [i(2, 2**40), i(-1, 3)], "axes": [None, i(1, 2), i(-1, -2), i(2, 0)], "steps": [None, i(1, 2), i(2, 1)]}),
    Form("Slice", values={"starts": [i(5, -1)], "ends": [i(0, -9)], "axes": [i(1, 2)], "steps": [i(-1, -2)]}, since=10),
    Form("Gather", values={"indices": [i(2, -1), np.array(1), np.array([[0], [-2]])], "axis": [1, -1, 2]}),
    Form("Gather", (3, 4), values={"indices": [i(2, -1)], "axis": [None, 0]}),
    Form("GatherElements", values={"indices": [np.array([[[0, -1, 1, 1]]]), np.array([[[0, -1], [1, 2], [0, 0]]])], "axis": [1, -2, 2]}),
    *(
        Form("Pad", shape, values={"pads": [np.array(p) for p in pads], "mode": [None, "constant", "reflect", "edge", "wrap"], "constant_value|value": [None, np.float32(0.5)]})
        for shape, pads in (
            ((3, 4), [[0, 1, 2, 0], [1, 1, 1, 1], [0, -1, 0, 2], [-1, 0, 0, -1]]),
            ((1, 3, 4), [[0, 1, 0, 0, 0, 2], [0, 2, 3, 0, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 3, 0, 0, 4], [0, 0, 5, 0, 0, 0]]),
            (IMAGE, [[0, 1, 0, 0, 0, 2, 0, 0], [0, 0, 1, 2, 0, 0, 2, 1], [0, 1, 2, 1, 0, 0, 1, 2]]),
            (VOLUME, [[0, 0, 1, 2, 0, 0, 0, 2, 1, 3], [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]]),
        )
    ),
    Form("Pad", values={"pads": [i(1, 2)], "axes": [i(1), i(-1)], "mode": [None, "reflect", "edge", "wrap"], "constant_value": [None, np.float32(0.5)]}, since=18),
    Form("Expand", (1, 3, 1), values={"shape": [i(2, 1, 4), i(3, 1), i(4, 1, 3, 1)]}),
    Form("Tile", values={"repeats": [i(1, 2, 1), i(2, 1, 3)]}),
    Form("Transpose", values={"perm": [None, [1, 0, 2], [2, 0, 1]]}),
    Form("CumSum", values={"axis": [np.array(1), np.array(-1), i(2)], "exclusive": [None, 1], "reverse": [None, 1]}),
    Form("Trilu", values={"upper": [None, 0, 1], "k": [None, np.array(1), np.array(-1)]}),
    Form("Where", live=1, values={"condition": [np.array([[True], [False], [True]])], "Y": [w(3, 4), np.float32(0.5)]}),
    Form("Where", live=2, values={"condition": [np.array([[True], [False], [True]])], "X": [w(3, 4)]}),
    *(Form(name, values={"axis": [None, 0, 1, 2, -1, -2]}) for name in ("Softmax", "LogSoftmax")),
    *(
        Form(name, values=REDUCED)
        for name in (
            *("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"),
            "ReduceSumSquare",
        )
    ),
    Form("ReduceLogSum", values=REDUCED, positive=True),
    Form("DepthToSpace", (2, 8, 2, 3), values={"blocksize": [2], "mode": [None, "DCR", "CRD"]}),
    Form("SpaceToDepth", (2, 2, 4, 6), values={"blocksize": [2]}),
    Form("Upsample", (1, 2, 3, 4), values={"scales": [f(1, 1, 2, 2), f(1, 1, 1.5, 2.5), f(1, 1, 3, 1)], "mode": [None, "nearest", "linear"]}),
    Form("Resize", (1, 2, 3, 4), values={"scales": [f(1, 1, 2, 2), f(1, 1, 1.5, 0.6)], "mode": [None, "nearest", "linear"]}, until=10),
    Form("Resize", (1, 2, 5, 4), values={"scales": [f(1, 1, 2, 3), f(1, 1, 1.5, 2.3), f(1, 1, 0.5, 0.7), f(1, 1, 0.2, 1)], **RESIZED}, since=11),
    Form("Resize", (1, 2, 5, 4), values={"sizes": [i(1, 2, 10, 4), i(1, 2, 7, 9), i(1, 2, 3, 1)], **RESIZED}, since=11),
    Form("Resize", (5, 4), values={"scales": [f(2, 3), f(0.6, 1.5)], **RESIZED}, since=11),
    Form("Resize", (1, 1, 3, 4, 3), values={"scales": [f(1, 1, 2, 1.5, 0.7)], **RESIZED}, since=11),
    Form("Resize", (2, 6), values={"scales": [f(1.5, 2.5)], **RESIZED}, since=11),
    Form("Resize", (1, 1, 5, 4), values={"scales": [f(1, 1, 1.6, 0.6)], "mode": ["nearest", "linear", "cubic"], "cubic_coeff_a": [None, -0.5], "exclude_outside": [None, 1], "antialias": [None, 1], "extrapolation_value": [None, 2.0], "coordinate_transformation_mode": [None, "align_corners", "tf_crop_and_resize"], "roi": [None, f(0, 0, 0.2, 0.3, 1, 1, 0.8, 1.2)]}, since=11),
    Form("Resize", (1, 1, 5, 4), values={"scales": [f(2, 1.5)], "axes": [[2, 3], [3, 2], [-1, -2]], "mode": ["nearest", "linear", "cubic"]}, since=18),
    Form("Resize", (1, 1, 5, 4), values={"sizes": [i(7, 9), i(3, 3)], "axes": [[2, 3], [3, 2]], "mode": ["nearest", "linear"], "keep_aspect_ratio_policy": [None, "stretch", "not_larger", "not_smaller"]}, since=18),
    *(
        Form("LSTM", (4, 1, 2), values={**recurrent("LSTM", 4, 1), **RECURRENT, "P": [None, w(1, 9)], "input_forget": [None, 1]}, outputs=3, output=output)
        for output in range(3)
    ),
    *(
        Form("GRU", (4, 1, 2), values={**recurrent("GRU", 3, 1), **RECURRENT, "linear_before_reset": [None, 1]}, outputs=2, output=output)
        for output in range(2)
    ),
    *(Form("RNN", (4, 1, 2), values={**recurrent("RNN", 1, 1), **RECURRENT}, outputs=2, output=output) for output in range(2)),
    *(
        Form(name, (4, 1, 2), values={**recurrent(name, gates, 2), "direction": ["bidirectional"], "hidden_size": [3]}, outputs=2, output=output)
        for name, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1))
        for output in range(2)
    ),
    *(
        Form(name, (4, 1, 2), values={**recurrent(name, gates, 1), "hidden_size": [3], "activations": activations, "activation_alpha": [None, [0.3] * number], "activation_beta": [None, [0.2] * number], "sequence_lens": [None, np.array([4], np.int32), np.array([2], np.int32)]}, outputs=2)
        for name, gates, number, activations in (
            ("LSTM", 4, 3, [None, ["Sigmoid", "Tanh", "Relu"], ["HardSigmoid", "Tanh", "Tanh"], ["Softsign", "Affine", "Softplus"]]),
            ("GRU", 3, 2, [None, ["Sigmoid", "Relu"], ["HardSigmoid", "Tanh"], ["Softsign", "Elu"]]),
            ("RNN", 1, 1, [None, ["Relu"], ["Affine"], ["Softplus"], ["ScaledTanh"]]),
        )
    ),
]  # fmt: skip
