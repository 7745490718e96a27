"""ONNX files that hold what is not known, or are not whole: each is refused in one line that names what it is."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from robustsuite.errors import InvalidInput, RobustsuiteError, UnsupportedOperator
from robustsuite.formats import OnnxNetwork, load_onnx
from tests.formats.attribute_cases import network
from tests.formats.cases import f, i, w
from tests.formats.comparison import compare
from tests.formats.generated import random_model

node = helper.make_node


def _model(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int] = (1, 4),
    output: str = "y",
    version: int = 18,
) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in (weights or {}).items()]
    return network(nodes, tensors, shape, output, version)


def _with_function() -> onnx.ModelProto:
    opset = [helper.make_opsetid("", 18)]
    model = _model([node("Twice", ["x"], ["y"], domain="mine")])
    model.opset_import.append(helper.make_opsetid("mine", 1))
    body = [node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], body, opset))
    return model


def _with_sparse_weight() -> onnx.ModelProto:
    model = _model([node("MatMul", ["x", "s"], ["y"])])
    values, places = numpy_helper.from_array(f(1.0), "s"), numpy_helper.from_array(i(0), "p")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4, 4]))
    return model


def _with_subgraph(operator: str) -> onnx.ModelProto:
    number = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    branch = helper.make_graph([node("Relu", ["x"], ["z"])], "branch", [], [number])
    if operator == "If":
        made = [
            node("ReduceSum", ["x"], ["s"], keepdims=0),
            node("Greater", ["s", "zero"], ["c"]),
            node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
        ]
        return _model(made, {"zero": np.float32(0)})
    return _model([node(operator, ["", "", "x"], ["y"], body=branch)])


def _of_type(number: int) -> onnx.ModelProto:
    model = _model([node("Identity", ["x"], ["y"])])
    model.graph.input[0].type.tensor_type.elem_type = number
    return model


def _damaged_weight() -> onnx.ModelProto:
    model = _model([node("Add", ["x", "w"], ["y"])], {"w": w(4)})
    model.graph.initializer[0].raw_data = b"123"
    return model


def _two_operator_sets() -> onnx.ModelProto:
    model = _model([node("Relu", ["x"], ["y"])])
    model.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    return model


def _no_operator_set() -> onnx.ModelProto:
    model = _model([node("Relu", ["x"], ["y"])])
    del model.opset_import[:]
    return model


def _attribute_of_a_function() -> onnx.ModelProto:
    model = _model([node("Elu", ["x"], ["y"])])
    model.graph.node[0].attribute.add(name="alpha", ref_attr_name="a", type=onnx.AttributeProto.FLOAT)
    return model


def _batch_norm(outputs: int, version: int) -> onnx.ModelProto:
    names = ["y", *"qrst"][:outputs]
    return _model(
        [node("BatchNormalization", ["x", *"abcd"], names)], {k: abs(w(4)) for k in "abcd"}, version=version
    )


def _folded(operator: str, values: Sequence[Any], **attributes: Any) -> onnx.ModelProto:
    names = [f"v{place}" for place, _ in enumerate(values)]
    nodes = [
        node(operator, names, ["n"], **attributes),
        node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        node("Mul", ["x", "f"], ["y"]),
    ]
    return _model(nodes, dict(zip(names, values, strict=True)))


REFUSED: list[tuple[Callable[[], onnx.ModelProto], str]] = [
    (_with_function, "the network brings the function 'Twice' of its own"),
    (_with_sparse_weight, "the tensor 's' is sparse"),
    *((lambda name=name: _with_subgraph(name), f"the ONNX operator '{name}'") for name in ("If", "Loop")),
    (lambda: _model([node("Relu", ["x"], ["y"], domain="com.microsoft")]), "'com.microsoft.Relu'"),
    (lambda: _model([node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])], output="s"), "'DynamicQuantizeLinear'"),
    (lambda: _model([node("QuantizeLinear", ["x", "s"], ["y"])], {"s": np.float32(0.1)}), "'QuantizeLinear'"),
    (lambda: _model([node("Relu", ["x"], ["y"])], version=6), "operator set is version 6; expected 7 to"),
    (lambda: _model([node("Relu", ["x"], ["y"])], version=99), "operator set is version 99; expected 7 to"),
    (lambda: _of_type(TensorProto.INT64), "the input 'x' is INT64; expected FLOAT or DOUBLE"),
    (lambda: _of_type(TensorProto.FLOAT16), "the input 'x' is FLOAT16; expected FLOAT or DOUBLE"),
    (lambda: _of_type(TensorProto.BFLOAT16), "the input 'x' is BFLOAT16"),
    (lambda: _model([node("Cast", ["x"], ["y"], to=TensorProto.INT64)]), "output 'y' is int64"),
    (lambda: _model([node("Cast", ["x"], ["h"], to=TensorProto.STRING), node("Cast", ["h"], ["y"], to=1)]), "STRING"),
    (lambda: _model([node("Dropout", ["x"], ["h", "m"]), node("Cast", ["m"], ["y"], to=1)]), "output 'mask'"),
    (lambda: _model([node("MaxPool", ["x"], ["h", "m"], kernel_shape=[2]), node("Cast", ["m"], ["y"], to=1)], shape=(1, 1, 4)), "output 'Indices'"),
    (lambda: _model([node("BatchNormalization", ["x", *"abcd"], ["y"], training_mode=1)], {k: abs(w(4)) for k in "abcd"}), "training_mode is 1"),
    *((lambda version=version: _batch_norm(5, version), "has the output 'mean', which asks for training") for version in (7, 9, 13)),
    *((lambda version=version: _batch_norm(3, version), "has the output 'running_mean', which asks for training") for version in (14, 15)),
    (lambda: _folded("ReduceSum", [[2**63 - 1, 1]], keepdims=0), "'ReduceSum' (node 'n') computes with whole numbers that may go beyond 9007199254740992"),
    (lambda: _folded("ReduceSum", [[2**62 + 1, 3]], keepdims=0), "'ReduceSum' (node 'n') computes"),
    (lambda: _folded("ReduceSum", [np.array([2**31 - 1, 5], np.int32)], keepdims=0), "may go beyond 2147483647"),
    (lambda: _folded("ReduceProd", [[2**32, -(2**31)]], keepdims=0), "'ReduceProd' (node 'n') computes"),
    (lambda: _folded("Range", [2**63 - 2, 2**63 - 1, 5]), "'Range' (node 'n') computes"),
    (lambda: _model([node("Cast", ["x"], ["n"], to=7), node("Reshape", ["x", "n"], ["y"])]), "takes 'n', which depends on the network's input"),
    (lambda: _model([node("Cast", ["x"], ["n"], to=7), node("Gather", ["c", "n"], ["y"])], {"c": w(9)}), "takes 'n', which depends on the network's input"),
    (lambda: _model([node("Pow", ["c", "x"], ["y"])], {"c": f(2.0)}), "takes 'x', which depends on the network's input"),
    (lambda: _model([node("Clip", ["x", "x"], ["y"])], shape=()), "takes 'x', which depends on the network's input"),
]  # fmt: skip

INVALID: list[tuple[Callable[[], onnx.ModelProto], str]] = [
    (_damaged_weight, "the tensor 'w' is damaged"),
    (_attribute_of_a_function, "the attribute 'alpha' stands for 'a' of a function"),
    (lambda: _model([node("Relu", ["x"], ["y"])], shape=(10**9, 10**9)), "expected up to 2147483648 entries"),
    (_two_operator_sets, "the network imports 2 versions"),
    (_no_operator_set, "the network imports 0 versions"),
    (lambda: _model([node("Relu", ["h"], ["y"]), node("Abs", ["x"], ["h"])]), "'h' is used before it is made"),
    (lambda: _model([node("Add", ["x", "y"], ["h"]), node("Abs", ["h"], ["y"])]), "'y' is used before it is made"),
    (lambda: _model([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]), "'y' is made twice"),
    (lambda: _model([node("Relu", ["x"], ["x"])], output="x"), "'x' is made twice"),
    (lambda: _model([node("Add", ["x", "w"], ["w"])], {"w": w(4)}, output="w"), "'w' is made twice"),
    (lambda: _model([node("Relu", ["x"], ["h"])]), "output 'y' is made by no operator"),
    (lambda: _model([node("Relu", ["x"], ["h"]), node("Abs", ["w"], ["y"])], {"w": w(4)}), "does not depend on"),
    (lambda: _model([node("Relu", ["x"], ["y"], slope=2.0)]), "Unrecognized attribute: slope"),
    (lambda: _model([node("Gemm", ["x"], ["y"])]), "has input size 1 not in range"),
    (lambda: _model([node("Upsample", ["x", "s"], ["y"])], {"s": f(1, 2)}), "deprecated"),
    (lambda: _model([node("Elu", ["x"], ["y"], alpha="much")]), "Mismatched attribute type"),
    (lambda: _model([node("ReduceSum", ["x"], ["y"], axes=[1])]), "Unrecognized attribute: axes"),
    (lambda: _model([node("Add", ["x", "w"], ["y"])], {"w": w(4).astype(np.float64)}), "expected one type"),
    (lambda: _model([node("Squeeze", ["x", "a"], ["y"])], {"a": i(1)}), "expected axes of size 1"),
    (lambda: _model([node("Gather", ["x", "a"], ["y"], axis=1)], {"a": i(4)}), "reach beyond an axis of 4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_not_known_is_refused_by_name(make: Callable[[], onnx.ModelProto], words: str) -> None:
    _refused(make(), UnsupportedOperator, words)


@pytest.mark.parametrize(
    ("make", "words"), INVALID, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_not_whole_is_refused_by_name(make: Callable[[], onnx.ModelProto], words: str) -> None:
    _refused(make(), InvalidInput, words)


def _refused(model: onnx.ModelProto, kind: type[RobustsuiteError], words: str) -> None:
    with pytest.raises(kind) as raised:
        OnnxNetwork(model)
    message = str(raised.value)
    assert words in message
    assert "\n" not in message
    assert "; " in message


def test_networks_with_a_few_bytes_changed_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    bases = [random_model(number)[0].SerializeToString() for number in range(10)]
    path = tmp_path / "net.onnx"
    for base in bases * 20:
        data = bytearray(base)
        for place in generator.integers(len(data), size=3):
            data[place] = generator.integers(256)
        path.write_bytes(bytes(data))
        try:
            network = load_onnx(path)
            network(torch.zeros(1, *network.input_shape))
        except RobustsuiteError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1


def test_outputs_that_nobody_uses_do_no_harm() -> None:
    for made in (node("Dropout", ["x"], ["y", "m"]), node("MaxPool", ["x"], ["y", "m"], kernel_shape=[2])):
        assert compare(_model([made], shape=(1, 1, 4)), w(1, 1, 4)) == "equal"


def test_names_that_differ_by_a_dot_stay_apart() -> None:
    model = _model(
        [node("Mul", ["x", "a.b"], ["h"]), node("Add", ["h", "a_dot_b"], ["y"])],
        {"a.b": w(4), "a_dot_b": w(1, 4)},
    )
    assert compare(model, w(1, 4)) == "equal"


def test_a_network_of_doubles_computes_in_doubles() -> None:
    model = _model([node("MatMul", ["x", "w"], ["y"])], {"w": w(4, 3).astype(np.float64)})
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    assert compare(model, w(1, 4).astype(np.float64), rtol=1e-13) == "equal"
    assert next(OnnxNetwork(model).parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    ("limits", "x"), [((None, 1e39), 1e40), ((-1e39, None), -1e40), ((2e39, 1e300), 1e38)]
)
def test_limits_beyond_float32_limit_doubles(limits: tuple[float | None, float | None], x: float) -> None:
    ends = {
        name: np.float64(end) for name, end in zip(("low", "high"), limits, strict=True) if end is not None
    }
    names = [name if name in ends else "" for name in ("low", "high")]
    model = _model([node("Clip", ["x", *names], ["y"])], ends)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    assert compare(model, np.full((1, 4), x)) == "equal"


def test_types_that_change_on_the_way_keep_their_rounding() -> None:
    through = {
        TensorProto.FLOAT16: w(1, 4) * 3000,
        TensorProto.DOUBLE: w(1, 4),
        TensorProto.UINT8: abs(w(1, 4)) * 90,
    }
    for kind, x in through.items():
        nodes = [node("Cast", ["x"], ["h"], to=kind), node("Cast", ["h"], ["y"], to=TensorProto.FLOAT)]
        assert compare(_model(nodes), x.astype(np.float32)) == "equal"
    nodes = [
        node("Cast", ["x"], ["h"], to=TensorProto.DOUBLE),
        node("Add", ["h", "w"], ["s"]),
        node("Cast", ["s"], ["y"], to=TensorProto.FLOAT),
    ]
    network = OnnxNetwork(_model(nodes, {"w": w(4).astype(np.float64)}))
    assert next(network.parameters()).dtype == torch.float32
    assert network.double()(torch.zeros(2, 1, 4, dtype=torch.float64)).dtype == torch.float64


def _outside(folder: Path, location: str) -> Path:
    model = _model([node("Add", ["x", "w"], ["y"])], {"w": w(4)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(w(4).tobytes())
    torch.testing.assert_close(
        load_onnx(_outside(tmp_path, "w.bin"))(torch.zeros(1, 1, 4))[0, 0], torch.from_numpy(w(4))
    )


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "w.bin").write_bytes(w(4).tobytes())
    (inner / "cut.bin").write_bytes(b"123")
    (inner / "link.bin").symlink_to(tmp_path / "w.bin")
    for location in ("../w.bin", str(tmp_path / "w.bin"), "absent.bin", "cut.bin", "link.bin", "."):
        with pytest.raises(InvalidInput) as raised:
            load_onnx(_outside(inner, location))
        assert "\n" not in str(raised.value)
    packed = inner / "packed.onnx.gz"
    packed.write_bytes(gzip.compress(_outside(inner, "../w.bin").read_bytes()))
    with pytest.raises(InvalidInput, match="the data of the tensor 'w' lies in another file"):
        load_onnx(packed)
