"""Imported networks compute what onnxruntime computes, alone, in batches and in bounds; bad files get one line."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from robustsuite import Linf, bounds
from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats import OnnxNetwork, load_onnx
from tests.formats.cases import NODES, Node, w
from tests.formats.comparison import reference


@pytest.mark.parametrize("node", NODES, ids=str)
def test_operators_agree_with_onnxruntime(node: Node) -> None:
    network = OnnxNetwork(node.model()).eval()
    examples = [node.example(number) for number in range(3)]
    expected = torch.from_numpy(np.stack([reference(node.model(), x) for x in examples]))
    x = torch.from_numpy(np.stack(examples))
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(network(x[:1]), expected[:1], rtol=1e-5, atol=1e-5)
    b = bounds.ibp(bounds.trace(network, x), Linf(1e-3).around(x))
    assert bool((b.lower <= expected + 1e-4).all())
    assert bool((b.upper >= expected - 1e-4).all())


@pytest.mark.parametrize("node", [n for n in NODES if n.operator in ("LSTM", "GRU", "RNN")], ids=str)
def test_bounds_of_recurrent_networks_hold(node: Node) -> None:
    network = OnnxNetwork(node.model()).eval()
    x = torch.from_numpy(np.stack([node.example(number) for number in range(2)]))
    graph, region = bounds.trace(network, x), Linf(0.2).around(x)
    corners = (torch.randint(0, 2, (50, *x.shape), generator=torch.Generator().manual_seed(0)) * 2 - 1) * 0.2
    y = network((x + corners).flatten(0, 1)).unflatten(0, (50, 2))
    widths = []
    for method in (bounds.ibp, bounds.crown):
        b = method(graph, region)
        assert bool(((b.lower <= y + 1e-5) & (y <= b.upper + 1e-5)).all())
        widths.append(float((b.upper - b.lower).mean()))
    assert widths[1] < widths[0]


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray[Any, Any]],
    shape: list[str | int | None],
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_shapes_that_the_graph_computes_are_folded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    weights = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "w": w(12, 2)}
    network = load_onnx(_save(tmp_path / "net.onnx", nodes, weights, ["N", 3, 4]))
    x = torch.randn(5, 1, 3, 4)
    assert (network.input_shape, network.output_shape) == ((1, 3, 4), (1, 2))
    torch.testing.assert_close(network(x), x.reshape(5, 1, 12) @ torch.from_numpy(weights["w"]))


def test_a_network_that_torch_wrote_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    names = {"0.weight": "w0", "0.bias": "b0", "2.weight": "w2", "2.bias": "b2"}
    weights = {names[name]: value.numpy() for name, value in model.state_dict().items()}
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "b0"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], transB=1),
    ]
    path = _save(tmp_path / "net.onnx", nodes, weights, [1, 4])
    packed = path.with_name("packed.onnx.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    x = torch.randn(6, 4)
    for file in (path, packed, tmp_path / "packed.onnx"):
        torch.testing.assert_close(load_onnx(file)(x.unsqueeze(1)).squeeze(1), model(x))


def test_weights_move_with_the_network(tmp_path: Path) -> None:
    network = OnnxNetwork(Node("MatMul", constants={"c": w(4, 5)}).model())
    assert network.double()(torch.zeros(2, 1, 3, 4, dtype=torch.float64)).dtype == torch.float64
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_bad_files_get_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent.onnx does not exist"):
        load_onnx(tmp_path / "absent.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("this is no network")
    with pytest.raises(InvalidInput, match="is not an ONNX network"):
        load_onnx(text)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(InvalidInput, match="is not an ONNX network"):
        load_onnx(empty)
    cut = tmp_path / "cut.onnx.gz"
    cut.write_bytes(gzip.compress(Node("Relu").model().SerializeToString())[:-9])
    with pytest.raises(InvalidInput, match="not a whole gzip file"):
        load_onnx(cut)
    strange = _save(tmp_path / "strange.onnx", [helper.make_node("Hardmax", ["x"], ["y"])], {}, [1, 4])
    with pytest.raises(UnsupportedOperator, match="the ONNX operator 'Hardmax'"):
        load_onnx(strange)
    misfit = _save(
        tmp_path / "misfit.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": w(3, 3)}, [1, 4]
    )
    with pytest.raises(InvalidInput, match="the ONNX operator 'MatMul' .* cannot be run"):
        load_onnx(misfit)
