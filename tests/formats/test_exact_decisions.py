"""Decisions at the edge: strict conditions, decimals that no float is, coefficients that are none, cancellation."""

from __future__ import annotations

import importlib.util
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from robustsuite import bounds
from robustsuite.commands.deciding import decide_files
from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats import InputBox, OnnxNetwork, exact, parse_vnnlib
from robustsuite.formats.counterexamples import Network, within
from robustsuite.formats.decision import Decision, Result, decide
from robustsuite.formats.reference import onnxruntime_of
from robustsuite.perturbations import BoxRegion

ONE = "(declare-const X_0 Real)(declare-const Y_0 Real)"
UNIT = ONE + "(assert (>= X_0 0))(assert (<= X_0 1))"


def _linear(*layers: np.ndarray) -> onnx.ModelProto:
    """Give matrix products in a row, the first factor being x of shape (1, inputs)."""
    names = ["x", *(f"h{i}" for i in range(len(layers) - 1)), "y"]
    weights = [numpy_helper.from_array(np.asarray(w, np.float32), f"w{i}") for i, w in enumerate(layers)]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i, _ in enumerate(layers)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, count])
        for name, count in (("x", layers[0].shape[0]), ("y", layers[-1].shape[1]))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _decide(text: str, *layers: np.ndarray, sound: bool = False, timeout: float = 60.0) -> Decision:
    net = OnnxNetwork(_linear(*(layers or (np.eye(1),)))).eval()
    return decide(net, parse_vnnlib(text), sound=sound, timeout=timeout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(assert (< Y_0 0))", Result.UNSAT),  # y = x in [0, 1]
        ("(assert (<= Y_0 0))", Result.SAT),
        ("(assert (<= Y_0 -1e-50))", Result.UNSAT),
        ("(assert (>= Y_0 1.00000001))", Result.UNSAT),  # 1 is the float32 next to it
        ("(assert (> Y_0 0.99999999))", Result.SAT),
        ("(assert (> X_0 1))", Result.UNSAT),
        ("(assert (< 1 1))", Result.UNSAT),
        ("(assert (<= Y_0 1e300))", Result.SAT),
        ("(assert (<= Y_0 -1e300))", Result.UNSAT),
    ],
)
def test_conditions_are_taken_as_they_are_written(text: str, expected: Result) -> None:
    decision = _decide(UNIT + text)
    assert decision.result is expected
    if decision.inputs is not None and decision.outputs is not None:
        assert 0 <= float(decision.inputs) <= 1
        point = [exact.fractions(decision.inputs), exact.fractions(decision.outputs)]
        assert parse_vnnlib(UNIT + text).contains(*point)


def _one_step(operator: str) -> OnnxNetwork:
    attributes: dict[str, Any] = {}
    names = ["x", "x"] if operator == "Div" else ["x"]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1]) for name in "xy"]
    weights: list[onnx.TensorProto] = []
    if operator == "GroupNormalization":
        names, attributes = ["x", "one", "one"], {"num_groups": 1}
        weights = [numpy_helper.from_array(np.ones(1, np.float32), "one")]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 2]) for name in "xy"]
    if operator == "Pow":
        names, weights = ["x", "p"], [numpy_helper.from_array(np.array(-0.5, np.float32), "p")]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], **attributes)], "net", ends[:1], ends[1:], weights
    )
    return OnnxNetwork(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)
    ).eval()


def _unit_of(net: OnnxNetwork) -> str:
    """Declare a network's inputs in [0, 1], and its outputs."""
    count = math.prod(net.input_shape)
    declared = [f"(declare-const {kind}_{i} Real)" for kind in "XY" for i in range(count)]
    return "".join([*declared, *(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(count))])


@pytest.mark.parametrize("operator", ["Div", "Pow", "Reciprocal", "Log"])
def test_networks_without_a_value_at_zero_are_decided_where_they_have_one(operator: str) -> None:
    text = ONE + "(assert (>= X_0 0.5))(assert (<= X_0 1))"
    net = _one_step(operator)
    assert decide(net, parse_vnnlib(text + "(assert (>= Y_0 3))")).result is Result.UNSAT
    assert decide(net, parse_vnnlib(text + "(assert (>= Y_0 -3))")).result is Result.SAT


def test_a_network_with_a_pole_in_the_middle_of_the_box_is_violated_near_it() -> None:
    text = ONE + "(assert (>= X_0 -1))(assert (<= X_0 1))(assert (>= Y_0 1))"
    assert decide(_one_step("Reciprocal"), parse_vnnlib(text)).result is Result.SAT


def test_outputs_that_overflow_leave_a_property_open() -> None:
    text = ONE + "(assert (>= X_0 1e20))(assert (<= X_0 2e20))(assert (>= Y_0 1e30))"
    assert decide(_one_step("ReduceL2"), parse_vnnlib(text), timeout=1).result in (
        Result.UNKNOWN,
        Result.TIMEOUT,
    )


def test_operators_that_cancel_are_not_decided_with_rounding() -> None:
    net = _one_step("GroupNormalization")
    unsafe = parse_vnnlib(_unit_of(net) + "(assert (>= Y_0 100))")
    assert decide(net, unsafe).result is Result.UNSAT
    with pytest.raises(UnsupportedOperator, match="'GroupNormalization' .* without --sound"):
        decide(net, unsafe, sound=True)


@pytest.mark.parametrize(
    "operator", ["Sigmoid", "Elu", "Celu", "Selu", "Gelu", "HardSwish", "Tanh", "Softplus", "Erf", "Mish"]
)
def test_another_runtime_lies_within_rounding(operator: str) -> None:
    x = torch.cat([torch.linspace(-20, 20, 2001), -torch.logspace(-8, 0, 300)]).view(-1, 1)
    node = onnx.helper.make_node(operator, ["x"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "one", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    theirs = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = torch.from_numpy(theirs.run(None, {"x": x.numpy()})[0])
    net = bounds.trace(OnnxNetwork(onnx.shape_inference.infer_shapes(model)), x[:1].unsqueeze(1), sound=True)
    for eps in (0.0, 1e-4):
        region = BoxRegion(x.unsqueeze(1), (x - eps).unsqueeze(1), (x + eps).unsqueeze(1))
        for method in (bounds.ibp, bounds.crown):
            result = method(net, region)
            assert bool((result.lower.flatten() <= y.flatten()).all())
            assert bool((result.upper.flatten() >= y.flatten()).all())


def test_a_strict_end_of_the_box_is_no_counterexample() -> None:
    text = ONE + "(assert (< X_0 0.5))(assert (>= X_0 0))(assert (>= Y_0 {}))"
    assert _decide(text.format(0.5), timeout=0.3).result in (Result.UNKNOWN, Result.TIMEOUT)
    decision = _decide(text.format(0.49999997))
    assert decision.inputs is not None
    assert float(decision.inputs) == np.nextafter(np.float32(0.5), np.float32(0))


def test_an_input_that_no_float_is_is_given_as_its_decimal() -> None:
    decision = _decide(ONE + "(assert (= X_0 0.1)) (assert (>= Y_0 0.05))")
    assert decision.result is Result.SAT
    assert decision.inputs is not None
    assert float(decision.inputs) == np.float32(0.1)
    assert decision.decimals == ("0.1",)
    assert "(X_0 0.1)\n(Y_0 0.100000001)" in str(decision)
    open_ = _decide(ONE + "(assert (> X_0 0.1))(assert (< X_0 0.1000000001)) (assert (>= Y_0 0.05))")
    assert Fraction(1, 10) < Fraction(open_.decimals[0]) < Fraction("0.1000000001")
    # The network gets 0.100000001..., but what is written is not above 0.1.
    both = _decide(ONE + "(assert (= X_0 0.1)) (assert (> (+ X_0 (* 0 Y_0)) (- 0.2 X_0)))")
    assert both.result is Result.UNSAT
    assert _decide(ONE + "(assert (= X_0 0.1)) (assert (> (* 2 X_0) (+ Y_0 0.1)))").result is not Result.SAT
    # No decimal is 1/3.
    assert _decide(ONE + "(assert (= (* 3 X_0) 1)) (assert (>= Y_0 0))").result is Result.UNKNOWN
    assert _decide(ONE + "(assert (= (* 3 X_0) 1)) (assert (>= Y_0 0.4))").result is Result.UNSAT


def test_printed_inputs_lie_in_the_box_as_decimals() -> None:
    # With nine digits, the float32 at the upper end is above it.
    decision = _decide(
        ONE + "(assert (>= X_0 0))(assert (<= X_0 1.4075908660888672))(assert (>= Y_0 1.4075908))"
    )
    assert decision.inputs is not None
    assert Fraction(decision.decimals[0]) <= Fraction("1.4075908660888672")
    assert np.float32(decision.decimals[0]) == float(decision.inputs)


@pytest.mark.parametrize("end", ["1e300", "1e38"])
def test_boxes_beyond_the_dtype_are_refused(end: str) -> None:
    with pytest.raises(InvalidInput, match=rf"X_0 lies in \[-{end}, {end}\]; expected bounds within"):
        _decide(ONE + f"(assert (>= X_0 -{end}))(assert (<= X_0 {end}))(assert (<= Y_0 0))")


@pytest.mark.parametrize("seed", range(2))
def test_coefficients_that_no_float_is(seed: int) -> None:
    """On y = x, the least value of a sum over the box is known exactly: the limit is put there, and next to it."""
    generator = np.random.default_rng(seed)
    numbers = [Fraction(int(n), 10**12) for n in generator.integers(-(10**12), 10**12, 3)]
    ends = [(Fraction(int(a), 64), Fraction(int(a + b), 64)) for a, b in generator.integers(1, 64, (3, 2))]
    least = sum(
        (c * (low if c > 0 else high) for c, (low, high) in zip(numbers, ends, strict=True)), Fraction()
    )

    def written(value: Fraction) -> str:
        text = exact.decimal_of(value)
        assert text is not None
        return text

    text = "".join(f"(declare-const {v}_{i} Real)" for v in "XY" for i in range(3))
    for i, (low, high) in enumerate(ends):
        text += f"(assert (>= X_{i} {written(low)}))(assert (<= X_{i} {written(high)}))"
    total = "(+ " + " ".join(f"(* {written(c)} Y_{i})" for i, c in enumerate(numbers)) + ")"
    tiny, small = Fraction(1, 10**30), Fraction(1, 10**5)
    for sign, limit, wrong in (
        ("<=", least, Result.UNSAT),
        ("<", least + tiny, Result.UNSAT),
        ("<", least, Result.SAT),
        ("<=", least - tiny, Result.SAT),
    ):
        decision = _decide(f"{text}(assert ({sign} {total} {written(limit)}))", np.eye(3), timeout=0.2)
        assert decision.result is not wrong
    assert _decide(f"{text}(assert (<= {total} {written(least + small)}))", np.eye(3)).result is Result.SAT
    assert _decide(f"{text}(assert (<= {total} {written(least - small)}))", np.eye(3)).result is Result.UNSAT


def test_a_box_that_needs_more_than_its_share_gets_what_the_others_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late, shares = [Decision(result=Result.TIMEOUT)], []

    def decided(question: object, cases: object, ends: object, timeout: float) -> Decision:
        shares.append(timeout)
        return late.pop() if late else Decision(result=Result.UNSAT)

    monkeypatch.setattr("robustsuite.formats.decision._decide_box", decided)
    boxes = " ".join(f"(and (<= X_0 {i / 64}) (>= Y_0 {1 + i / 64}))" for i in range(4))
    assert _decide(UNIT + f"(assert (or {boxes}))").result is Result.UNSAT
    assert len(shares) == 5
    assert shares[-1] > 2 * shares[0]


def test_an_input_that_is_fixed_is_decided_on_the_edge() -> None:
    layer = np.array([[0.1, -0.3], [0.7, 0.9]])
    x = torch.tensor([0.3, 0.6])
    y = exact.fractions(OnnxNetwork(_linear(layer)).eval()(x.view(1, 1, 2)))
    text = "(declare-const Y_0 Real)(declare-const Y_1 Real)"
    for i, value in enumerate(exact.fractions(x)):
        text += f"(declare-const X_{i} Real)(assert (= X_{i} {exact.decimal_of(value)}))"
    total = "(+ (* 0.3 Y_0) (* 0.123456789 Y_1))"
    limit = exact.decimal_of(Fraction("0.3") * y[0] + Fraction("0.123456789") * y[1])
    assert _decide(f"{text}(assert (<= {total} {limit}))", layer).result is Result.SAT
    assert _decide(f"{text}(assert (>= {total} {limit}))", layer).result is Result.SAT


def test_what_is_inside_of_a_box() -> None:
    like = torch.zeros(())
    box = InputBox(
        lower=(Fraction(1, 10), Fraction(0), Fraction(1, 10)),
        upper=(Fraction(1), Fraction(1), Fraction(1, 10)),
        open_below=frozenset({1}),
        open_above=frozenset({0}),
    )
    inside = within(box, like)
    assert inside is not None
    assert inside.lower.tolist() == [
        np.float32(0.1),
        np.nextafter(np.float32(0), np.float32(1)),
        np.float32(0.1),
    ]
    assert inside.upper.tolist() == [np.nextafter(np.float32(1), np.float32(0)), 1, np.float32(0.1)]
    assert inside.decimals == {2: Fraction(1, 10)}


def test_a_counterexample_has_to_hold_in_the_reference_too() -> None:
    net = OnnxNetwork(_linear(np.eye(1))).eval()
    unsafe = parse_vnnlib(UNIT + "(assert (>= Y_0 0.5))")
    assert decide(net, unsafe, reference=lambda x: x).result is Result.SAT
    # A point that is unsafe by a trifle only is given up for one that is so by more.
    edge = parse_vnnlib(UNIT + "(assert (>= Y_0 0.9999))")
    assert decide(net, edge, reference=lambda x: x - 1e-6).result is Result.SAT
    assert decide(net, unsafe, reference=lambda x: 0 * x).result is Result.UNKNOWN
    assert decide(net, unsafe, reference=lambda x: x / 0).result is Result.UNKNOWN


def test_onnxruntime_is_the_reference_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _linear(np.array([[1.0, 2.0]]), np.array([[1.0], [-3.0]]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "p.vnnlib").write_text(UNIT + "(assert (<= Y_0 -4))")
    reference = onnxruntime_of(tmp_path / "net.onnx")
    assert reference is not None
    assert reference(torch.tensor([0.5])).tolist() == [-2.5]
    asked = []

    def counted(path: Path) -> Network:
        asked.append(path)
        return reference

    monkeypatch.setattr("robustsuite.commands.deciding.onnxruntime_of", counted)
    assert decide_files(tmp_path / "net.onnx", tmp_path / "p.vnnlib").result is Result.SAT
    assert asked == [tmp_path / "net.onnx"]
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    broken = onnxruntime_of(tmp_path / "broken.onnx")
    assert broken is not None
    with pytest.raises(InvalidInput, match="onnxruntime cannot run it"):
        broken(torch.zeros(1))
    crashing = tmp_path / "crash.py"
    crashing.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with monkeypatch.context() as changed:
        changed.setattr("robustsuite.formats.reference._PROCESS", str(crashing))
        with pytest.raises(InvalidInput, match=r"cannot run it, .* \(it was killed by signal 11\)"):
            reference(torch.tensor([0.5]))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert onnxruntime_of(tmp_path / "net.onnx") is None


def _cancelling(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Give a network whose weights cancel to y = 0 in real numbers, and the least value that float32 finds."""
    generator = np.random.default_rng(seed)
    parts = generator.integers(10**5, 10**6, 6).astype(np.float32)
    first = np.concatenate([parts, [-parts.sum()]]).astype(np.float32)[None]
    layers = first, np.ones((7, 1), np.float32)
    net = OnnxNetwork(_linear(*layers)).eval()
    with torch.no_grad():
        values = net(torch.linspace(0, 1, 20_001).view(-1, 1, 1))
    return *layers, float(values.min())


@pytest.mark.parametrize("seed", range(2))
def test_cancelling_weights_are_safe_in_real_numbers_only(seed: int) -> None:
    first, second, least = _cancelling(seed)
    assert least < 0
    text = UNIT + f"(assert (<= Y_0 {exact.decimal_of(Fraction(least))}))"
    assert _decide(text, first, second, sound=True, timeout=0.3).result is not Result.UNSAT
    far = UNIT + "(assert (<= Y_0 -1e3))"
    assert _decide(far, first, second, sound=True).result is Result.UNSAT


def test_without_sound_rounding_is_not_bounded() -> None:
    """What the flag is for: by default the answer is about real numbers, where y = 0."""
    answers = []
    for seed in range(2):
        first, second, least = _cancelling(seed)
        text = UNIT + f"(assert (<= Y_0 {exact.decimal_of(Fraction(least))}))"
        answers.append(_decide(text, first, second).result)
    assert Result.UNSAT in answers
