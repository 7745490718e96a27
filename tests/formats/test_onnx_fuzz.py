"""Random models compute what onnxruntime computes, or are refused; hidden counterexamples are never called absent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from robustsuite.certificates import Result, decide_files
from robustsuite.errors import RobustsuiteError
from tests.formats.comparison import compare, reference
from tests.formats.generated import planted, random_model


def _compare(numbers: range) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in numbers:
        answer = compare(*random_model(number))
        assert answer.startswith(("equal", "refused", "not run")), (number, answer)
        found[answer.split(":")[0]] += 1
    return found


def test_random_models_are_as_in_onnxruntime_or_refused() -> None:
    assert _compare(range(20))["equal"] >= 12


@pytest.mark.slow
def test_many_random_models_are_as_in_onnxruntime_or_refused() -> None:
    found = _compare(range(300))
    print(found)
    assert found["equal"] >= 200


def _decide(numbers: range, folder: Path, seconds: float) -> Counter[str]:
    found: Counter[str] = Counter()
    for number in numbers:
        case = planted(number)
        assert reference(case.model, case.hidden[None]).item() >= case.threshold
        network, specification = folder / "net.onnx", folder / "spec.vnnlib"
        network.write_bytes(case.model.SerializeToString())
        specification.write_text(case.specification)
        try:
            decision = decide_files(network, specification, timeout=seconds)
        except RobustsuiteError as error:
            found["refused" if "\n" not in str(error) else str(error)] += 1
            continue
        found[decision.result.value] += 1
        assert decision.result is not Result.UNSAT, (number, case.kind)
        if decision.result is Result.SAT:
            lines = str(decision).splitlines()[1:]
            numbers_printed = [float(line.strip("()").split()[1]) for line in lines if "X_" in line]
            y = reference(case.model, np.array([numbers_printed], dtype=np.float32))
            assert y.item() >= case.threshold - 1e-5, (number, case.kind)
    assert set(found) <= {"refused", *(result.value for result in Result)}
    return found


def test_hidden_counterexamples_are_never_called_absent(tmp_path: Path) -> None:
    _decide(range(6), tmp_path, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_hidden_counterexamples_are_never_called_absent(tmp_path: Path) -> None:
    print(_decide(range(200), tmp_path, 2.0))
