"""VNN-LIB properties: what they mean, and one line about what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robustsuite.errors import InvalidInput
from robustsuite.formats import UnsafeSet, load_vnnlib, parse_vnnlib, read_instances

Evaluate = Callable[[tuple[int, int]], bool]

DECLARED = """
; two inputs, two outputs
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
"""
BOX = "(assert (>= X_0 -1)) (assert (<= X_0 0.5)) (assert (and (<= 0 X_1) (<= X_1 1e-1)))"


def _holds(unsafe: UnsafeSet, x: list[float], y: list[float]) -> bool:
    point, both = torch.tensor(x, dtype=torch.float64), torch.tensor([*y, *x], dtype=torch.float64)
    return any(
        bool(
            ((point >= case.lower) & (point <= case.upper)).all() and (case.rows @ both <= case.limits).all()
        )
        for case in unsafe.cases
    )


def test_a_box_and_a_condition() -> None:
    unsafe = parse_vnnlib(DECLARED + BOX + "(assert (<= Y_0 Y_1))")
    assert (unsafe.inputs, unsafe.outputs) == (2, 2)
    (case,) = unsafe.cases
    assert case.lower.tolist() == [-1.0, 0.0]
    assert case.upper.tolist() == [0.5, 0.1]
    assert case.rows.tolist() == [[1.0, -1.0, 0.0, 0.0]]
    assert case.limits.tolist() == [0.0]


def test_disjunctions_multiply_out() -> None:
    text = "(assert (or (and (<= Y_0 1) (>= Y_1 2)) (>= Y_0 3))) (assert (or (<= X_0 0) (>= X_0 0.25)))"
    unsafe = parse_vnnlib(DECLARED + BOX + text)
    assert len(unsafe.cases) == 4
    assert _holds(unsafe, [-0.5, 0], [1, 2])
    assert not _holds(unsafe, [0.1, 0], [1, 2])
    assert not _holds(unsafe, [-0.5, 0], [2, 2])
    assert _holds(unsafe, [0.3, 0], [3, 0])


def test_linear_terms() -> None:
    unsafe = parse_vnnlib(DECLARED + BOX + "(assert (>= (+ (* 2 Y_0) (- Y_1) (* X_0 -3) 1) (- 4 Y_1 1)))")
    (case,) = unsafe.cases
    assert case.rows.tolist() == [[-2.0, 0.0, 3.0, 0.0]]
    assert case.limits.tolist() == [-2.0]


def test_equality_and_contradiction() -> None:
    (case,) = parse_vnnlib(DECLARED + BOX + "(assert (= Y_0 2))").cases
    assert case.limits.tolist() == [2.0, -2.0]
    assert parse_vnnlib(DECLARED + BOX + "(assert (>= X_0 0.75))").cases == ()


@st.composite
def formulas(draw: st.DrawFn, depth: int = 2) -> tuple[str, Evaluate]:
    """Give the text of a formula over Y_0 and Y_1, and a function that evaluates it."""
    kind = draw(st.sampled_from(["<=", ">=", "and", "or"])) if depth else draw(st.sampled_from(["<=", ">="]))
    if kind in ("and", "or"):
        parts = draw(st.lists(formulas(depth=depth - 1), min_size=1, max_size=3))
        test = all if kind == "and" else any
        return f"({kind} {' '.join(p[0] for p in parts)})", lambda y: test(p[1](y) for p in parts)
    a, b, c = (draw(st.integers(-3, 3)) for _ in range(3))
    sign = 1 if kind == "<=" else -1
    text = f"({kind} (+ (* {a} Y_0) (* {b} Y_1)) {c})"
    return text, lambda y: sign * (a * y[0] + b * y[1] - c) <= 0


@given(formulas(), st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
def test_cases_mean_what_the_formula_says(formula: tuple[str, Evaluate], y: tuple[int, int]) -> None:
    text, evaluate = formula
    unsafe = parse_vnnlib(DECLARED + BOX + f"(assert {text})")
    assert _holds(unsafe, [0.0, 0.0], [float(v) for v in y]) == evaluate(y)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(assert (<= Y_0 1)", r"line 8: a '\(' is never closed"),
        ("(assert (<= Y_0 1)))", r"line 8: a '\)' too many"),
        ("assert", "line 8: 'assert' stands outside"),
        ("(assert (<= Y_0 one))", "line 8: 'one' is neither a variable nor a number"),
        ("(assert (<= Y_7 1))", "line 8: Y_7 is not declared"),
        ("(assert (<= (* Y_0 Y_1) 1))", "not linear"),
        ("(assert (<= (sin Y_0) 1))", "'sin' is no linear operation"),
        ("(assert (not (<= Y_0 1)))", "'not' with 1 parts is no condition"),
        ("(assert (<= Y_0 nan))", "'nan' is neither"),
        ("(assert)", "'assert' is not known here"),
        ("(prove it)", "'prove' is not known here"),
        ("(vnnlib-version <2.0>)", "VNN-LIB 2"),
    ],
)
def test_malformed_text_names_the_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_vnnlib(DECLARED + BOX + "\n" + text)


def test_inputs_need_bounds_and_names_no_gap() -> None:
    with pytest.raises(InvalidInput, match="X_1 has no bound on one side"):
        parse_vnnlib(DECLARED + "(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (<= Y_0 0))")
    with pytest.raises(InvalidInput, match="Y_0, Y_1, ... are not declared"):
        parse_vnnlib("(declare-const X_0 Real)")
    with pytest.raises(InvalidInput, match="no name of a variable"):
        parse_vnnlib("(declare-const Z_0 Real)")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "property.vnnlib"
    file.write_text(DECLARED + BOX + "(assert (<= Y_0 0)")
    with pytest.raises(InvalidInput, match=r"property.vnnlib: line 7: a '\('"):
        load_vnnlib(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="not a text file"):
        load_vnnlib(file)


def test_lists_of_instances(tmp_path: Path) -> None:
    file = tmp_path / "instances.csv"
    file.write_text(
        "network,property,timeout_s,answer\nnets/a.onnx, b.vnnlib,116,unsat\n\nnets/a.onnx,c.vnnlib\n"
    )
    first, second = read_instances(file)
    assert first.network == tmp_path / "nets/a.onnx"
    assert (first.specification.name, first.timeout, second.timeout) == ("b.vnnlib", 116.0, None)
    file.write_text("a.onnx,b.vnnlib,soon\n")
    with pytest.raises(InvalidInput, match="line 1: the timeout is 'soon'"):
        read_instances(file)
    file.write_text("a.onnx\n")
    with pytest.raises(InvalidInput, match="line 1: expected network,property,timeout"):
        read_instances(file)
    file.write_text("network,property\n")
    with pytest.raises(InvalidInput, match="holds no instance"):
        read_instances(file)
