"""Decisions: against dense search on small networks, against known answers, and as the command prints them."""

from __future__ import annotations

import csv
import itertools
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from robustsuite import bounds
from robustsuite.commands.cli import main
from robustsuite.commands.deciding import decide_files, time_limit
from robustsuite.errors import InvalidInput
from robustsuite.formats import OnnxNetwork, load_onnx, parse_vnnlib
from robustsuite.formats.decision import Decision, Result, decide

DECLARED = "".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))


def _box(low: float, high: float) -> str:
    return "".join(f"(assert (>= X_{i} {low}))(assert (<= X_{i} {high}))" for i in range(2))


def _model(seed: int) -> onnx.ModelProto:
    generator = np.random.default_rng(seed)
    sizes = [2, 12, 12, 3]
    weights, nodes, last = [], [], "x"
    for layer, (before, after) in enumerate(itertools.pairwise(sizes)):
        values = {
            f"w{layer}": generator.normal(size=(before, after)) * 1.5 / before**0.5,
            f"b{layer}": generator.normal(size=after),
        }
        weights += [numpy_helper.from_array(v.astype(np.float32), name) for name, v in values.items()]
        out = "y" if layer == 2 else f"h{layer}"
        nodes.append(helper.make_node("Gemm", [last, *values], [out]))
        if layer < 2:
            nodes.append(helper.make_node("Relu", [out], [last := f"r{layer}"]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _grid(net: OnnxNetwork, low: float, high: float) -> torch.Tensor:
    line = torch.linspace(low, high, 201)
    points = torch.cartesian_prod(line, line).view(-1, 1, 2)
    return torch.cat([net(points).flatten(1), points.flatten(1)], 1)


@pytest.mark.parametrize("seed", range(4))
def test_decisions_agree_with_dense_search(seed: int) -> None:
    net = OnnxNetwork(_model(seed)).eval()
    values = _grid(net, -1, 1)
    top = float(values[:, 0].max())
    for threshold in (top - 0.05, top + 0.05, top + 1):
        decision = decide(net, parse_vnnlib(DECLARED + _box(-1, 1) + f"(assert (>= Y_0 {threshold}))"))
        assert decision.result is (Result.SAT if threshold < top else Result.UNSAT)
    order = f"{_box(-1, 1)}(assert (or (and (<= Y_0 Y_1) (<= Y_0 Y_2)) (>= Y_0 {top + 0.1})))"
    unsafe = bool(((values[:, 0] <= values[:, 1]) & (values[:, 0] <= values[:, 2])).any())
    decision = decide(net, parse_vnnlib(DECLARED + order))
    if unsafe:
        assert decision.result is Result.SAT
    if decision.inputs is not None:
        assert float(decision.inputs.abs().max()) <= 1


def test_conditions_on_inputs_and_outputs_together() -> None:
    net = OnnxNetwork(_model(0)).eval()
    gap = _grid(net, -1, 1)
    top = float((gap[:, 0] - 2 * gap[:, 3]).max())
    for threshold, expected in ((top - 0.05, Result.SAT), (top + 0.05, Result.UNSAT)):
        text = DECLARED + _box(-1, 1) + f"(assert (>= Y_0 (+ (* 2 X_0) {threshold})))"
        assert decide(net, parse_vnnlib(text)).result is expected


def test_several_boxes_and_empty_cases() -> None:
    net = OnnxNetwork(_model(1)).eval()
    top = float(_grid(net, 0.5, 1.0)[:, 0].max())
    boxes = "(assert (or (and (<= X_0 -0.5) (<= X_1 -0.5)) (and (>= X_0 0.5) (>= X_1 0.5))))"
    text = DECLARED + _box(-1, 1) + boxes
    assert decide(net, parse_vnnlib(text + f"(assert (>= Y_0 {top - 0.02}))")).result is Result.SAT
    assert decide(net, parse_vnnlib(DECLARED + _box(-1, 1))).result is Result.SAT
    assert decide(net, parse_vnnlib(DECLARED + _box(1, -1) + "(assert (<= Y_0 0))")).result is Result.UNSAT


def test_inputs_that_the_dtype_cannot_hold_are_decided() -> None:
    net = OnnxNetwork(_model(0)).eval()
    fixed = "(assert (= X_0 0.1)) (assert (= X_1 0.3))"
    assert decide(net, parse_vnnlib(DECLARED + fixed + "(assert (>= Y_0 -100))")).result is Result.SAT
    assert decide(net, parse_vnnlib(DECLARED + fixed + "(assert (>= Y_0 100))")).result is Result.UNSAT


def test_files_that_do_not_fit_are_refused() -> None:
    net = OnnxNetwork(_model(0)).eval()
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 0))"
    with pytest.raises(InvalidInput, match="1 inputs and 1 outputs, the network has 2 and 3"):
        decide(net, parse_vnnlib(text))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(_model(0).SerializeToString())
    (tmp_path / "safe.vnnlib").write_text(DECLARED + _box(-1, 1) + "(assert (>= Y_0 100))")
    (tmp_path / "unsafe.vnnlib").write_text(DECLARED + _box(-1, 1) + "(assert (>= Y_0 -100))")
    (tmp_path / "broken.vnnlib").write_text(DECLARED + "(assert")
    (tmp_path / "all.csv").write_text(
        "net.onnx,safe.vnnlib,60\nnet.onnx,unsafe.vnnlib,60\nnet.onnx,broken.vnnlib,60\n"
    )
    return tmp_path


def test_the_command_prints_the_answer_first(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(f"certify {files}/net.onnx {files}/safe.vnnlib --timeout 60")) == 0
    assert capsys.readouterr().out == "unsat\n"
    assert main(shlex.split(f"certify {files}/net.onnx {files}/unsafe.vnnlib")) == 0
    word, *lines = capsys.readouterr().out.splitlines()
    assert word == "sat"
    numbers = [float(line.strip("()").split()[1]) for line in lines]
    session = onnxruntime.InferenceSession(str(files / "net.onnx"))
    (y,) = session.run(None, {"x": np.array([numbers[:2]], dtype=np.float32)})
    np.testing.assert_allclose(y[0], numbers[2:], atol=1e-5)
    assert main(shlex.split(f"certify {files}/net.onnx {files}/safe.vnnlib --timeout 0.001")) == 0
    assert capsys.readouterr().out == "timeout\n"


def test_an_alarm_that_a_destructor_swallows_comes_again(recwarn: pytest.WarningsRecorder) -> None:
    class Slow:
        def __del__(self) -> None:
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                pass

    until = time.monotonic() + 60.0
    with time_limit(0.05):
        Slow()  # the first alarm comes while it is taken down
        while time.monotonic() < until:
            pass
    assert time.monotonic() < until


def test_the_alarm_waits_until_a_network_is_traced() -> None:
    class Slow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(0.02)
            return x.relu()

    traced = []
    until = time.monotonic() + 60.0
    with time_limit(0.01):
        traced.append(bounds.trace(Slow(), torch.zeros(1, 2)))
        while time.monotonic() < until:
            pass
    assert len(traced) == 1
    assert time.monotonic() < until


def test_the_command_takes_a_list_and_resumes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"certify {files}/all.csv --results {files}/results.csv"
    assert main(shlex.split(line)) == 1
    written = capsys.readouterr()
    assert [text.split()[0] for text in written.out.splitlines()[:3]] == ["unsat", "sat", "error"]
    assert "broken.vnnlib: line 1: a '(' is never closed" in written.err
    with (files / "results.csv").open() as file:
        assert [row["result"] for row in csv.DictReader(file)] == ["unsat", "sat", "error"]
    assert main(shlex.split(line)) == 2
    assert "continue it with --resume" in capsys.readouterr().err
    assert main(shlex.split(line + " --resume")) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 error"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("absent.onnx safe.vnnlib", "absent.onnx does not exist"),
        ("net.onnx safe.vnnlib all.csv", "3 files given"),
        ("net.onnx safe.vnnlib --timeout 0", "timeout is 0.0"),
        ("net.onnx safe.vnnlib --resume", "are for a CSV file"),
        ("net.onnx broken.vnnlib", "line 1: a '(' is never closed"),
    ],
)
def test_wrong_calls_are_one_line(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(files)
    assert main(shlex.split(f"certify {arguments}")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_counterexample_is_printed_as_vnn_comp_has_it() -> None:
    decision = Decision(result=Result.SAT, inputs=torch.tensor([0.5, 1.0]), outputs=torch.tensor([2.0]))
    assert str(decision) == "sat\n((X_0 0.5)\n(X_1 1)\n(Y_0 2))"


@pytest.mark.parametrize(
    ("network", "specification", "expected"),
    [
        ("acasxu/ACASXU_run2a_1_7_batch_2000.onnx", "acasxu/prop_1.vnnlib", Result.UNSAT),
        ("acasxu/ACASXU_run2a_1_7_batch_2000.onnx", "acasxu/prop_3.vnnlib", Result.SAT),
        ("acasxu/ACASXU_run2a_1_9_batch_2000.onnx", "acasxu/prop_7.vnnlib", Result.SAT),
        ("mnistfc/mnist-net_256x2.onnx", "mnistfc/prop_2_0.03.vnnlib", Result.UNSAT),
        ("mnistfc/mnist-net_256x2.onnx", "mnistfc/prop_9_0.05.vnnlib", Result.SAT),
    ],
)
def test_known_answers(
    data_folder: Callable[[str], Path], network: str, specification: str, expected: Result
) -> None:
    folder = data_folder("vnncomp")
    decision = decide_files(folder / network, folder / specification, timeout=60)
    assert decision.result is expected
    if decision.inputs is not None:
        net = load_onnx(folder / network)
        y = net(decision.inputs.view(1, *net.input_shape)).flatten()
        torch.testing.assert_close(y, decision.outputs, rtol=1e-5, atol=1e-5)
