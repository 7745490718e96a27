"""VNN-LIB properties: what they mean, and one line about what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustsuite.errors import InvalidInput
from robustsuite.formats import Inequality, UnsafeSet, load_vnnlib, parse_vnnlib, read_instances

F0, F1 = Fraction(0), Fraction(1)

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
    return unsafe.contains([Fraction(v) for v in x], [Fraction(v) for v in y])


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_a_comment_ends_with_its_line_whatever_ends_a_line(end: str) -> None:
    text = DECLARED + BOX + "; a limit\n(assert (<= Y_0 Y_1)) ; none\n(assert (<= Y_1 2))"
    (case,) = parse_vnnlib(text.replace("\n", end)).cases
    assert len(case.conditions) == 2
    with pytest.raises(InvalidInput, match="line 11: 'push'"):
        parse_vnnlib((text + "\n; end\n(push 1)").replace("\n", end))


def test_a_box_and_a_condition() -> None:
    unsafe = parse_vnnlib(DECLARED + BOX + "(assert (<= Y_0 Y_1))")
    assert (unsafe.inputs, unsafe.outputs) == (2, 2)
    (case,) = unsafe.cases
    assert case.box.lower == (-F1, F0)
    assert case.box.upper == (Fraction(1, 2), Fraction(1, 10))
    (condition,) = case.conditions
    assert condition == Inequality(outputs=((0, F1), (1, -F1)), inputs=(), limit=F0, strict=False)


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
    (condition,) = case.conditions
    assert condition == Inequality(
        outputs=((0, -2 * F1),), inputs=((0, 3 * F1),), limit=-2 * F1, strict=False
    )


def test_equality_and_contradiction() -> None:
    (case,) = parse_vnnlib(DECLARED + BOX + "(assert (= Y_0 2))").cases
    assert [condition.limit for condition in case.conditions] == [2, -2]
    assert parse_vnnlib(DECLARED + BOX + "(assert (>= X_0 0.75))").cases == ()


@pytest.mark.parametrize(
    ("text", "cases"),
    [
        ("(assert (< 1 1))", 0),
        ("(assert (<= 1 1))", 1),
        ("(assert (or (< 1 1) (> 2 1)))", 1),
        ("(assert (> X_0 0.5))", 0),
        ("(assert (>= X_0 0.5))", 1),
        ("(assert (and (>= X_1 0.1) (> 0.1 X_1)))", 0),
        ("(assert (< 0.1 X_1))", 0),
        ("(assert (<= 0.1000000000000000055511151231257827 X_1))", 0),  # the float64 next to 0.1
    ],
)
def test_strict_is_not_taken_for_its_boundary(text: str, cases: int) -> None:
    assert len(parse_vnnlib(DECLARED + BOX + text).cases) == cases


def test_strict_conditions_and_exact_numbers() -> None:
    unsafe = parse_vnnlib(DECLARED + BOX + "(assert (< (* 0.1 Y_0) 0.3)) (assert (<= Y_1 -1e-50))")
    x = [F0, F0]
    assert unsafe.contains(x, [Fraction(299, 100), -F1])
    assert not unsafe.contains(x, [3 * F1, -F1])
    assert not unsafe.contains(x, [F0, F0])
    assert unsafe.contains(x, [F0, Fraction(-1, 10**50)])
    assert not unsafe.contains([F0, Fraction(0.1)], [F0, -F1])  # the float64 lies above 0.1
    (case,) = parse_vnnlib(DECLARED + BOX + "(assert (> X_0 -1))").cases
    assert case.box.open_below == {0}
    assert not case.box.admits(0, -F1)
    (case,) = parse_vnnlib(DECLARED + BOX + "(assert (<= Y_0 1e400))").cases
    assert case.conditions[0].limit == 10**400


@pytest.mark.parametrize("operator", ["and", "or"])
def test_depth_is_no_limit(operator: str) -> None:
    depth = 5_000
    text = f"(assert {f'({operator} (<= Y_0 1) ' * depth}(<= Y_0 1){')' * (depth + 1)}"
    cases = parse_vnnlib(DECLARED + BOX + text).cases
    assert sum(len(case.conditions) for case in cases) == depth + 1
    terms = f"(assert (<= {'(+ 1 ' * depth}Y_0{')' * depth} 0))"
    (case,) = parse_vnnlib(DECLARED + BOX + terms).cases
    assert case.conditions[0].limit == -depth


def test_cases_with_equal_bounds_have_one_box() -> None:
    text = "(assert (or (and (<= X_0 0) (<= Y_0 1)) (and (<= X_0 0) (<= Y_0 2)) (<= Y_0 3) (<= X_0 0.5)))"
    boxes = [case.box for case in parse_vnnlib(DECLARED + BOX + text).cases]
    assert boxes[0] is boxes[1]
    assert boxes[2] is boxes[3]
    assert boxes[0] is not boxes[2]


@st.composite
def formulas(draw: st.DrawFn, depth: int = 2) -> tuple[str, Evaluate]:
    """Give the text of a formula over Y_0 and Y_1, and a function that evaluates it."""
    leaves = ["<=", ">=", "<", ">"]
    kind = draw(st.sampled_from([*leaves, "and", "or"] if depth else leaves))
    if kind in ("and", "or"):
        parts = draw(st.lists(formulas(depth=depth - 1), min_size=1, max_size=3))
        test = all if kind == "and" else any
        return f"({kind} {' '.join(p[0] for p in parts)})", lambda y: test(p[1](y) for p in parts)
    a, b, c = (draw(st.integers(-3, 3)) for _ in range(3))
    sign, limit = 1 if kind[0] == "<" else -1, 0 if len(kind) == 2 else -1
    text = f"({kind} (+ (* {a} Y_0) (* {b} Y_1)) {c})"
    return text, lambda y: sign * (a * y[0] + b * y[1] - c) <= limit


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
        ("(assert (<= Y_0 one))", "line 8: 'one' is neither a variable nor a decimal number"),
        ("(assert (<= Y_7 1))", "line 8: Y_7 is not declared"),
        ("(assert (<= (* Y_0 Y_1) 1))", "not linear"),
        ("(assert (<= (sin Y_0) 1))", "'sin' with 1 parts is not known here"),
        ("(assert (not (<= Y_0 1)))", "'not' with 1 parts is not known here"),
        ("(assert (<= Y_0 nan))", "'nan' is neither"),
        ("(assert)", r"\(assert\) is no assertion"),
        ("(assert X_0)", r"\(assert X_0\) is no assertion"),
        ("(assert (+ X_0 1))", "is no assertion"),
        ("(assert (and))", "'and' with 0 parts"),
        ("(assert (or))", "'or' with 0 parts"),
        ("(assert (or true (<= Y_0 1)))", "'true' is no condition"),
        ("(assert (<= Y_0 (<= Y_0 1)))", "a condition stands where a number is expected"),
        ("(assert (<= X_0 Y_0 1))", "'<=' with 3 parts"),
        ("(assert ((<= Y_0 1)))", "'a list' with 0 parts"),
        ("(prove it)", "'prove' is not known here"),
        ("(push 1)", "line 8: 'push' is not known here"),
        ("(define-fun f ((x Real)) Real (+ x 1))", "'define-fun' is not known here"),
        ("(declare-fun Y_2 () Real)", "'declare-fun' is not known here"),
        ("(declare-const X_2 Int)", r"line 8: \(declare-const X_2 Int\) is not known; .* real numbers"),
        ("(declare-const X_2 Bool)", r"\(declare-const X_2 Bool\) is not known"),
        ("(declare-const X_2 (Array Real))", "is not known"),
        ("(declare-const X_2)", "is not known"),
        ("(declare-const X_1 Real)", "line 8: X_1 is declared again; line 4 has it"),
        ("(declare-const X_01 Real)", "no name of a variable"),
        ("(set-logic QF_LIA)", r"line 8: \(set-logic QF_LIA\) is not known; expected one of QF_LRA"),
        ("(check-sat) (assert (<= Y_0 1))", "'assert' stands after check-sat"),
        ("(assert (<= Y_0 1/3))", "'1/3' is neither a variable nor a decimal number"),
        ("(assert (<= Y_0 #x1))", "'#x1' is neither"),
        ("(assert (<= Y_0 --1))", "'--1' is neither"),
        ("(assert (<= Y_0 1_000))", "'1_000' is neither"),
        ("(assert (<= Y_0 inf))", "'inf' is neither"),
        ("(assert (<= Y_0 1e999999999))", "the number '1e999999999' is too long"),
        ("(assert (<= Y_0 1" + "0" * 5000 + "))", "is too long"),
        ("(assert (<= Y_0 " + "(* 1e1000 " * 50 + "1" + ")" * 50 + "))", "too large"),
        ("()", r"'\(\)' is no command"),
        ("((assert))", "where a command is expected"),
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


def test_no_line_of_a_list_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "instances.csv"
    file.write_text("net.pb,b.vnnlib\na.onnx,b.vnnlib\n")
    assert [instance.network.name for instance in read_instances(file)] == ["net.pb", "a.onnx"]
    file.write_text("a.onnx,b.vnnlib\nnote\n")
    with pytest.raises(InvalidInput, match="line 2: expected network,property,timeout; got 'note'"):
        read_instances(file)
    file.write_text("a.onnx,,5\n")
    with pytest.raises(InvalidInput, match="line 1: expected network"):
        read_instances(file)
    file.write_text("a.onnx,b.vnnlib,inf\n")
    with pytest.raises(InvalidInput, match="the timeout is 'inf'"):
        read_instances(file)
    file.write_text(f"a.onnx,{'b' * 200_000}.vnnlib\n")
    with pytest.raises(InvalidInput, match="is not a CSV file"):
        read_instances(file)


@pytest.mark.parametrize(
    ("path", "message"),
    [("", "is a folder"), ("..", "is a folder"), ("x" * 300, "cannot be read"), ("absent", "does not exist")],
)
def test_paths_that_are_no_files(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_vnnlib(tmp_path / path)
    with pytest.raises(InvalidInput, match=message):
        load_vnnlib(Path(path))
