"""Lists of instances: what happens to one, no other one feels; nothing is left running, nothing done is lost."""

from __future__ import annotations

import csv
import itertools
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from robustsuite.commands.certificate_lists import decide_all
from robustsuite.commands.cli import main
from robustsuite.errors import InvalidInput
from robustsuite.runs.files import NotWritable

INPUTS = 30


def _declared() -> str:
    names = "".join(f"(declare-const X_{i} Real)" for i in range(INPUTS)) + "(declare-const Y_0 Real)"
    return names + "".join(f"(assert (>= X_{i} -1))(assert (<= X_{i} 1))" for i in range(INPUTS))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a network, a property that takes minutes, one that takes none, and one that is broken."""
    generator = np.random.default_rng(0)
    weights, nodes, last = [], [], "x"
    for i, (before, after) in enumerate(itertools.pairwise([INPUTS, 60, 60, 60, 60, 1])):
        weight = generator.normal(size=(before, after)) * 1.5 / before**0.5
        weights.append(numpy_helper.from_array(weight.astype(np.float32), f"w{i}"))
        out = "y" if i == 4 else f"h{i}"
        nodes.append(helper.make_node("MatMul", [last, f"w{i}"], [out]))
        if i < 4:
            nodes.append(helper.make_node("Relu", [out], [last := f"r{i}"]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "hard.vnnlib").write_text(_declared() + "(assert (>= Y_0 20))")
    (tmp_path / "easy.vnnlib").write_text(_declared() + "(assert (>= Y_0 1e6))")
    (tmp_path / "broken.vnnlib").write_text("(assert")
    return tmp_path


def _results(file: Path) -> list[str]:
    if not file.exists():
        return []
    with file.open() as lines:
        return [row["result"] for row in csv.DictReader(lines)]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def _workers() -> list[psutil.Process]:
    """Give the processes that instances are decided in: children of the server, a child of ours."""
    mine = psutil.Process().children()
    return [worker for child in mine for worker in child.children() if "forkserver" in str(child.cmdline())]


def test_one_that_is_killed_or_broken_or_late_spoils_no_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "all.csv").write_text(
        "net.onnx,hard.vnnlib,100\nnet.onnx,broken.vnnlib,9\nnet.onnx,easy.vnnlib,60\n"
        "./net.onnx,hard.vnnlib,0.5\nnet.onnx,easy.vnnlib,60\nabsent.onnx,easy.vnnlib,1\n"
    )

    def kill_the_first() -> None:
        _until(lambda: bool(_workers()))
        time.sleep(0.5)
        _workers()[0].kill()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    assert decide_all(folder / "all.csv", results=folder / "results.csv") == 1
    killer.join()
    printed = capsys.readouterr()
    first, second, third = printed.err.splitlines()
    assert "hard.vnnlib" in first
    assert "was killed by signal 9 (Killed)" in first
    assert "a '(' is never closed" in second
    assert "absent.onnx does not exist" in third
    assert _results(folder / "results.csv") == ["error", "error", "unsat", "error"]
    assert printed.out.splitlines()[-1] == "3 error, 1 unsat"
    assert _workers() == []
    (folder / "late.csv").write_text("net.onnx,hard.vnnlib\nnet.onnx,easy.vnnlib,60\n")
    assert decide_all(folder / "late.csv", timeout=0.5, results=folder / "results.csv", resume=True) == 0
    assert sorted(_results(folder / "results.csv")) == ["timeout", "unsat"]


def test_files_of_the_same_name_are_told_apart(folder: Path) -> None:
    for part in ("a", "b"):
        (folder / part).mkdir()
        (folder / part / "p.vnnlib").write_text(
            _declared() + ("(assert (>= Y_0 1e6))" if part == "a" else "(assert (<= Y_0 1e6))")
        )
    (folder / "all.csv").write_text("net.onnx,a/p.vnnlib\nnet.onnx,b/p.vnnlib\nnet.onnx,a/p.vnnlib\n")
    assert decide_all(folder / "all.csv", results=folder / "results.csv", sound=True) == 0
    assert _results(folder / "results.csv") == ["unsat", "sat"]


def test_places_for_results_that_are_none(folder: Path) -> None:
    (folder / "all.csv").write_text("net.onnx,hard.vnnlib,100\n")
    (folder / "binary.csv").write_bytes(bytes(range(256)))
    (folder / "nul.csv").write_bytes(b"network\0")
    for name in ("binary.csv", "nul.csv", "all.csv", "."):
        with pytest.raises(InvalidInput, match="is not a file of results; give another one"):
            decide_all(folder / "all.csv", results=folder / name, resume=True)
    with pytest.raises(NotWritable, match=r"cannot write .* choose another file with --results"):
        decide_all(folder / "all.csv", results=folder / "net.onnx" / "results.csv")
    with pytest.raises(InvalidInput, match="resume needs the results"):
        decide_all(folder / "all.csv", resume=True)


@pytest.mark.parametrize("timeout", ["inf", "nan", "-1", "1e300"])
def test_timeouts_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str], timeout: str) -> None:
    (folder / "all.csv").write_text("net.onnx,hard.vnnlib,100\n")
    for files in ("all.csv", f"net.onnx {folder}/hard.vnnlib"):
        assert main(shlex.split(f"certify {folder}/{files} --timeout={timeout}")) == 2
        assert "expected seconds > 0, at most" in capsys.readouterr().err


_COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored, as in a job in the background
from robustsuite.commands.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def _start(folder: Path) -> subprocess.Popen[str]:
    (folder / "all.csv").write_text("net.onnx,easy.vnnlib,60\nnet.onnx,hard.vnnlib,300\n")
    (folder / "command.py").write_text(_COMMAND)
    command = f"{folder}/command.py certify {folder}/all.csv --results {folder}/results.csv"
    process = subprocess.Popen(
        [sys.executable, *shlex.split(command)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _until(lambda: _results(folder / "results.csv") == ["unsat"])
    return process


@pytest.mark.parametrize(
    "sent", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)], ids=lambda sent: sent.name
)
def test_nothing_is_left_running(folder: Path, sent: signal.Signals) -> None:
    process = _start(folder)
    _until(lambda: len(psutil.Process(process.pid).children(recursive=True)) >= 3)  # tracker, server, worker
    family = psutil.Process(process.pid).children(recursive=True)
    if sent is signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    if sent is signal.SIGINT:
        assert process.returncode == 130
        assert errors == "interrupted\n"
    _until(lambda: not any(member.is_running() for member in family))
    assert _results(folder / "results.csv") == ["unsat"]


@pytest.mark.slow
def test_deciding_imports_nothing_once_the_clock_runs(folder: Path) -> None:
    code = """
import sys
from pathlib import Path
import robustsuite.commands.preloaded
from robustsuite.commands.deciding import decide_files
before = set(sys.modules)
decide_files(Path("net.onnx"), Path("hard.vnnlib"), timeout=2)
print(sorted(name for name in set(sys.modules) - before if not name.startswith("robustsuite")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
