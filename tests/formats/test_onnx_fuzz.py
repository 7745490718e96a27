"""Random models compute what onnxruntime computes, or are refused; hidden counterexamples are never called absent."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from robustsuite.commands.deciding import decide_files
from robustsuite.errors import RobustsuiteError
from robustsuite.formats.decision import Result
from robustsuite.formats.onnx_operators import OPERATORS
from tests.formats.attribute_cases import network
from tests.formats.comparison import compare, reference
from tests.formats.generated import planted, random_model


def _compare(numbers: range) -> tuple[Counter[str], set[str]]:
    """Count the answers; give the operators that were compared."""
    found: Counter[str] = Counter()
    seen: set[str] = set()
    for number in numbers:
        model, x = random_model(number)
        answer = compare(model, x)
        seen |= {node.op_type for node in model.graph.node} if answer == "equal" else set()
        assert answer.startswith(("equal", "refused", "not run")), (number, answer)
        found[answer.split(":")[0]] += 1
    return found, seen


def test_random_models_are_as_in_onnxruntime_or_refused() -> None:
    found, _ = _compare(range(20))
    assert found["equal"] >= 12


@pytest.mark.slow
def test_many_random_models_are_as_in_onnxruntime_or_refused() -> None:
    found, seen = _compare(range(300))
    print(found, set(OPERATORS) - seen)
    assert found["equal"] >= 200
    assert len(set(OPERATORS) - seen) < 10


@pytest.mark.parametrize(
    ("kind", "box", "unsafe"),
    [
        (TensorProto.INT64, (0.5, 0.9), "(<= Y_0 0.2)"),
        (TensorProto.BOOL, (0.5, 0.9), "(>= Y_0 0.95)"),
        (TensorProto.FLOAT16, (2049.0, 2049.6), "(>= Y_0 2049.9)"),
        (TensorProto.UINT8, (256.0, 257.0), "(<= Y_0 2)"),
    ],
)
def test_casts_are_not_passed_over(kind: int, box: tuple[float, float], unsafe: str, tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["h"], to=kind), helper.make_node("Cast", ["h"], ["y"], to=1)]
    network_path, specification = tmp_path / "net.onnx", tmp_path / "spec.vnnlib"
    network_path.write_bytes(network(nodes, [], (1, 1), "y", 13).SerializeToString())
    specification.write_text(
        "(declare-const X_0 Real) (declare-const Y_0 Real)"
        f"(assert (>= X_0 {box[0]})) (assert (<= X_0 {box[1]})) (assert {unsafe})"
    )
    with suppress(RobustsuiteError):  # a cast may be refused
        assert decide_files(network_path, specification, timeout=5).result is not Result.UNSAT


def _decide(numbers: range, folder: Path, seconds: float) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in numbers:
        case = planted(number)
        assert reference(case.model, case.hidden[None]).item() >= case.threshold
        net, specification = folder / "net.onnx", folder / "spec.vnnlib"
        net.write_bytes(case.model.SerializeToString())
        specification.write_text(case.specification)
        try:
            decision = decide_files(net, specification, timeout=seconds)
        except RobustsuiteError as error:
            found["refused" if "\n" not in str(error) else str(error)] += 1
            continue
        found[decision.result.value] += 1
        assert decision.result is not Result.UNSAT, (number, case.kind)
        if decision.result is Result.SAT:
            lines = [line for line in str(decision).splitlines() if "X_" in line]
            x = [float(line.strip("()").split()[1]) for line in lines]
            y = reference(case.model, np.array([x], dtype=np.float32))
            assert y.item() >= case.threshold - 1e-5, (number, case.kind)
    assert set(found) <= {"refused", *(result.value for result in Result)}
    return found


def test_hidden_counterexamples_are_never_called_absent(tmp_path: Path) -> None:
    _decide(range(6), tmp_path, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_hidden_counterexamples_are_never_called_absent(tmp_path: Path) -> None:
    print(_decide(range(200), tmp_path, 2.0))
