"""Every operator of the table, over all values of its attributes and all versions: as in onnxruntime, or refused."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import numpy as np
import pytest
from onnx import defs, helper, numpy_helper

from robustsuite.errors import UnsupportedOperator
from robustsuite.formats import OnnxNetwork
from robustsuite.formats.onnx_folding import FOLDED
from robustsuite.formats.onnx_nodes import NEWEST, OLDEST, attribute
from robustsuite.formats.onnx_operators import OPERATORS
from tests.formats.attribute_cases import FORMS, Form, network, versions
from tests.formats.cases import f, i
from tests.formats.comparison import compare, folded

_RECURRENT = [
    "activation_alpha = ",
    "activation_beta = ",
    "activations is ['",
    "sequence_lens is [2]; expected whole",
]
REFUSED = {
    "Abs": ["is given int32"],
    "Add": ["is given int32"],
    "AveragePool": ["auto_pad is 'SAME_UPPER' with dilations", "auto_pad is 'SAME_LOWER' with dilations"],
    "Cast": [
        "the type to cast to is BFLOAT16",
        "cast to is UINT16",
        "cast to is UINT32",
        "cast to is UINT64",
        "round_mode = 'down', which is not read",
        "round_mode = 'down', which is not read",
    ],
    "CastLike": ["round_mode = 'down', which is not read"],
    "ConvTranspose": ["and the kernel reaches"],
    "Div": ["is given int32"],
    "Dropout": ["training_mode is True"],
    "Exp": ["is given float16"],
    "GRU": _RECURRENT,
    "GroupNormalization": ["stash_type = 11, which is not read"],
    "LSTM": _RECURRENT,
    "LayerNormalization": [
        "gives the output 'Mean', which is not known",
        "stash_type = 11, which is not read",
    ],
    "MaxPool": ["auto_pad is 'SAME_UPPER' with dilations", "auto_pad is 'SAME_LOWER' with dilations"],
    "Mul": ["is given int32"],
    "Neg": ["is given int32"],
    "Pad": [
        "pads holds -1 with mode",
        "with mode 'reflect'; expected one of",
        "with mode 'wrap'; expected one of",
    ],
    "Pow": ["expected a single number", "takes 'x', which depends on the network's input"],
    "RNN": _RECURRENT,
    "Relu": ["is given int32", "is given float16"],
    "Resize": [
        "keep_aspect_ratio_policy is",
        "coordinate_transformation_mode is 'tf_crop_and_resize'",
        "'half_pixel_symmetric', where rounding decides",
        "antialias = 1, which is not read",
    ],
    "Sign": ["is given int32"],
    "Squeeze": ["axes is [-2]; expected numbers >= 0 before version 11"],
    "Sub": ["is given int32"],
    "Unsqueeze": ["]; expected numbers >= 0 before version 11"],
}
"""What is refused, by the words that say so."""


def test_every_attribute_of_every_operator_is_in_the_table() -> None:
    missing = []
    for operator in OPERATORS:
        for version in versions(operator, OLDEST, NEWEST):
            forms = [g for g in FORMS if g.operator == operator and g.since <= version <= g.until]
            for name, entry in defs.get_schema(operator, version, "").attributes.items():
                default = attribute(entry.default_value) if entry.default_value.name else None
                tried = [
                    value
                    for form in forms
                    for names, values in form.values.items()
                    if name in names.split("|")
                    for value in values
                    if value is not None and np.any(np.asarray(value) != default)
                ]
                if not tried:
                    missing.append(f"{operator}-{version}: {name}")
            if not forms:
                missing.append(f"{operator}-{version}")
    assert not missing
    assert {form.operator for form in FORMS} == set(OPERATORS)


@pytest.mark.parametrize("operator", OPERATORS)
def test_importers_name_what_they_read(operator: str) -> None:
    schemas = [defs.get_schema(operator, version, "") for version in versions(operator, OLDEST, NEWEST)]
    known = {name for schema in schemas for name in schema.attributes}
    for version in versions(operator, OLDEST, NEWEST):
        for parameter in inspect.signature(OPERATORS[operator].of(version)).parameters.values():
            assert parameter.kind is not inspect.Parameter.VAR_KEYWORD
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                assert parameter.name in known | ({"num_outputs"} if operator == "Split" else set())


@pytest.mark.parametrize("operator", OPERATORS)
def test_values_are_as_in_onnxruntime_or_refused(operator: str) -> None:
    _check(operator, 2)


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
def test_all_values_are_as_in_onnxruntime_or_refused(operator: str) -> None:
    _check(operator, 10**9)


def _check(operator: str, limit: int) -> None:
    for version in versions(operator, OLDEST, NEWEST):
        forms = [g for g in FORMS if g.operator == operator and g.since <= version <= g.until]
        found: Counter[str] = Counter()
        for form in forms:
            for chosen in form.some(version, limit):
                answer = compare(form.model(version, chosen), form.example())
                found[answer.split(":")[0]] += 1
                allowed = answer in ("equal", "not run") or (
                    answer.startswith("refused")
                    and any(words in answer for words in REFUSED.get(operator, []))
                )
                assert allowed, (version, form, chosen, answer)
        assert found["equal"], f"{operator}-{version}: {found}"


@pytest.mark.parametrize("operator", OPERATORS)
def test_constants_are_folded_as_in_onnxruntime_or_refused(operator: str) -> None:
    version = versions(operator, OLDEST, 21)[-1]
    for form in FORMS:
        if form.operator == operator and form.since <= version <= form.until:
            for chosen in form.some(version, 2):
                answer = compare(
                    folded(form.model(version, chosen), form.example()), np.array(0.5, np.float32)
                )
                assert answer.startswith(("equal", "not run", "refused")), (form, chosen, answer)


A, B = np.array([[7, -7, 0], [5, -4, 1]]), np.array([[2, 2, -3], [-3, 3, -1]])
YES = np.array([[True, False, True], [False, False, True]])
_PAIRS = (
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Mod",
    "Max",
    "Min",
    "Equal",
    "Less",
    "Greater",
    "LessOrEqual",
    "GreaterOrEqual",
)
CONSTANTS = [
    *(Form(name, others=(A.astype(t), B.astype(t))) for name in _PAIRS for t in (np.int64, np.int32)),
    Form("Mod", others=(A, B), values={"fmod": [1]}),
    *(Form(name, others=(YES, ~YES | YES[:1])) for name in ("And", "Or", "Xor", "Equal")),
    *(Form(name, others=(A,)) for name in ("Abs", "Neg", "Identity", "NonZero", "Shape", "Size", "Flatten")),
    Form("ReduceSum", others=(A, i(1)), values={"keepdims": [0, 1]}),
    *(Form(name, others=(A, i(1)), values={"keepdims": [0, 1]}, since=18) for name in ("ReduceMax", "ReduceMin", "ReduceProd")),
    Form("Not", others=(YES,)),
    *(Form("Cast", others=(value,), values={"to": [1, 6, 7, 9]}) for value in (A, YES)),
    *(Form("Concat", others=(A, B), values={"axis": [axis]}) for axis in (0, -1)),
    Form("ConstantOfShape", others=(i(2, 3),)),
    Form("ConstantOfShape", others=(i(2),), values={"value": [numpy_helper.from_array(i(3))]}),
    Form("Constant", values={"value_ints": [[1, 2]]}),
    Form("Constant", values={"value_float": [0.5]}),
    Form("Constant", values={"value": [numpy_helper.from_array(A)]}),
    Form("Expand", others=(i(1, 2), i(3, 1))),
    *(Form("Gather", others=(A, i(1, -1)), values={"axis": [axis]}) for axis in (0, 1)),
    Form("GatherElements", others=(A, np.array([[1, -1, 0]])), values={"axis": [0]}),
    Form("GatherND", others=(A, np.array([[1, -1], [0, 0]]))),
    Form("Range", others=(np.int64(5), np.int64(-3), np.int64(-2))),
    Form("Range", others=(np.float32(0), np.float32(1), np.float32(0.3))),
    Form("Reshape", others=(A, i(0, -1, 1))),
    Form("ScatterND", others=(A, np.array([[1], [0]]), B)),
    Form("Slice", others=(A, i(2), i(-9), i(1), i(-2))),
    Form("Split", others=(A, i(1, 2)), values={"axis": [1]}, outputs=2, output=1),
    Form("Squeeze", others=(A[None], i(0))),
    Form("Unsqueeze", others=(A, i(-1))),
    Form("Tile", others=(A, i(2, 1))),
    Form("Transpose", others=(A,), values={"perm": [None, [1, 0]]}),
    Form("Where", others=(YES, A, B)),
    Form("Ceil", others=(f(0.5),)),
]  # fmt: skip


def test_every_operator_that_is_folded_is_tested() -> None:
    assert {form.operator for form in CONSTANTS} == set(FOLDED)


@pytest.mark.parametrize("form", CONSTANTS, ids=lambda form: form.operator)
def test_constants_that_are_no_floats_are_folded_as_in_onnxruntime(form: Form) -> None:
    names = [f"o{place}" for place in range(len(form.others))]
    weights = [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, form.others, strict=True)]
    outputs = [f"y{place}" for place in range(form.outputs)]
    for version in versions(form.operator, max(13, form.since), 21):
        for chosen in form.combinations(version):
            node = helper.make_node(form.operator, names, outputs, **chosen)
            cast = helper.make_node("Cast", [outputs[form.output]], ["f"], to=1)
            total = helper.make_node("Add", ["x", "f"], ["y"])
            model = network([node, cast, total], weights, (), "y", version)
            assert compare(model, np.array(0.25, np.float32)) == "equal", (version, chosen)


@pytest.mark.parametrize("start", [None, 0, 1, -2, -9])
@pytest.mark.parametrize("end", [None, 2, -1, 9, 0])
def test_parts_of_shapes_are_folded_as_in_onnxruntime(start: int | None, end: int | None) -> None:
    part: dict[str, Any] = {
        name: value for name, value in (("start", start), ("end", end)) if value is not None
    }
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], **part),
        helper.make_node("Cast", ["s"], ["f"], to=1),
        helper.make_node("ReduceSum", ["f"], ["t"]),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    assert compare(network(nodes, [], (2, 3, 4), "y", 15), np.ones((2, 3, 4), np.float32)) == "equal"


def test_random_numbers_are_no_constants() -> None:
    node = helper.make_node("RandomNormal", [], ["r"], shape=[1])
    model = network([node, helper.make_node("Add", ["x", "r"], ["y"])], [], (1,), "y", 13)
    with pytest.raises(
        UnsupportedOperator, match="the ONNX operator 'RandomNormal' .* is not known for constants"
    ):
        OnnxNetwork(model)
