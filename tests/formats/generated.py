"""Random ONNX models over all importers and attributes, and properties with a counterexample hidden in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from robustsuite import seeding
from robustsuite.formats.onnx_nodes import OLDEST
from tests.formats.attribute_cases import FORMS, Form, network
from tests.formats.comparison import NOT_RUN, reference

Array = np.ndarray[Any, Any]


class Builder:
    """A model that grows: nodes and weights with names of their own."""

    def __init__(self, shape: tuple[int, ...], version: int) -> None:
        self.shape, self.version = shape, version
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def name(self) -> str:
        return f"t{len(self.nodes)}_{len(self.weights)}"

    def weight(self, value: Any, dtype: Any = np.float32) -> str:
        name = "w" + self.name()
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node of one output; arrays and numbers among the inputs become weights."""
        names = [value if isinstance(value, str) else self.weight(value) for value in inputs]
        output = self.name()
        self.nodes.append(helper.make_node(operator, names, [output], name=output, **attributes))
        return output

    def reshaped(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.weight(shape, np.int64))

    def model(self, output: str) -> onnx.ModelProto:
        return network(self.nodes, self.weights, self.shape, output, self.version)

    def take(self, model: onnx.ModelProto, x: str) -> str:
        """Put the nodes of another model after x; give its output's name."""
        prefix = f"p{len(self.nodes)}_"

        def renamed(name: str) -> str:
            return x if name == "x" else prefix + name if name else ""

        for tensor in model.graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = renamed(tensor.name)
            self.weights.append(copy)
        for original in model.graph.node:
            node = onnx.NodeProto()
            node.CopyFrom(original)
            node.input[:] = [renamed(name) for name in original.input]
            node.output[:] = [renamed(name) for name in original.output]
            self.nodes.append(node)
        return renamed(model.graph.output[0].name)


def random_model(number: int) -> tuple[onnx.ModelProto, Array]:
    """Give a model of one to four operators in a row or in two branches, and an input for it.

    Each operator is a form of the table with values of its own; a random linear map brings the shape that it asks for.
    """
    generator = np.random.default_rng(seeding.derive(number, "onnx"))
    version = int(generator.integers(OLDEST, 22))
    size = int(generator.integers(1, 7))
    builder = Builder((1, size), version)

    def chain(last: str, entries: int) -> tuple[str, int]:
        for _ in range(generator.integers(1, 4)):
            last, entries = _grown(builder, last, entries, generator)
        return last, entries

    last, entries = chain("x", size)
    if generator.random() < 0.4:
        other, more = chain("x", size)
        mixed = builder.add("MatMul", builder.reshaped(other, 1, more), _weights(generator, more, entries))
        last = builder.add(
            str(generator.choice(["Add", "Sub", "Mul"])), builder.reshaped(last, 1, entries), mixed
        )
    return builder.model(last), generator.uniform(-1, 1, (1, size)).astype(np.float32)


def _weights(generator: np.random.Generator, rows: int, columns: int) -> Array:
    return generator.normal(size=(rows, columns)) / math.sqrt(max(rows, 1))


def _grown(builder: Builder, last: str, entries: int, generator: np.random.Generator) -> tuple[str, int]:
    """Add a form that onnxruntime runs; give its output and how many entries that has."""
    operators = sorted({form.operator for form in FORMS})
    while True:
        operator = str(generator.choice(operators))
        if (
            not defs.has(operator, builder.version, "")
            or defs.get_schema(operator, builder.version, "").deprecated
        ):
            continue
        forms = [g for g in FORMS if g.operator == operator and g.since <= builder.version <= g.until]
        if not forms:
            continue
        form: Form = forms[generator.integers(len(forms))]
        combinations = form.some(builder.version, 200)
        part = form.model(builder.version, combinations[generator.integers(len(combinations))])
        try:
            example = reference(part, form.example())
        except NOT_RUN:
            continue
        if not 0 < example.size < 500:
            continue
        flat = builder.reshaped(last, 1, entries)
        mixed = builder.add("MatMul", flat, _weights(generator, entries, math.prod(form.shape)))
        mixed = builder.add("Add", mixed, generator.normal(size=math.prod(form.shape)))
        if form.positive:
            mixed = builder.add("Add", builder.add("Sigmoid", mixed), 0.5)
        elif form.wide > 100:
            mixed = builder.add("Mul", mixed, form.wide / 3)
        last = builder.take(part, builder.reshaped(mixed, *form.shape))
        # Large numbers would make of rounding what is no difference.
        return builder.add("Mul", last, 1 / max(1.0, float(np.abs(example).max()))), example.size


@dataclass(frozen=True)
class Planted:
    """A property with a counterexample that is known, and that gradients do not lead to.

    Attributes:
        kind: how it is hidden.
        model: the network; specification: in VNN-LIB.
        hidden: the counterexample; threshold: y_0 is unsafe from there on.
    """

    kind: str
    model: onnx.ModelProto
    specification: str
    hidden: Array
    threshold: float


def planted(number: int) -> Planted:
    """Give a random small network plus a spike, a step or a jump in a small part of its box."""
    generator = np.random.default_rng(seeding.derive(number, "planted"))
    size = int(generator.integers(1, 3))
    builder = Builder((1, size), int(generator.integers(13, 22)))
    low = generator.uniform(-2, 0, size).round(3)
    high = (low + generator.uniform(0.5, 2, size)).round(3)
    hidden = generator.uniform(low + 0.02, high - 0.02).astype(np.float32)
    kind = list(_KINDS)[number % len(_KINDS)]
    spike = _KINDS[kind](builder, hidden, generator)
    inner = builder.add(
        "Relu", builder.add("Gemm", "x", _weights(generator, size, 6), generator.normal(size=6))
    )
    rest = builder.add("Tanh", builder.add("MatMul", inner, _weights(generator, 6, 1)))
    y = builder.add(
        "Add", builder.add("Mul", rest, 0.2), builder.add("Mul", builder.reshaped(spike, 1, 1), 1.0)
    )
    model = builder.model(y)
    threshold = float(reference(model, hidden[None]).item()) - 1e-3
    declared = [f"(declare-const X_{k} Real)" for k in range(size)] + ["(declare-const Y_0 Real)"]
    box = [
        f"(assert (>= X_{k} {a:.3f})) (assert (<= X_{k} {b:.3f}))"
        for k, (a, b) in enumerate(zip(low, high, strict=True))
    ]
    text = "\n".join([*declared, *box, f"(assert (>= Y_0 {threshold:.6f}))"])
    return Planted(kind, model, text, hidden, threshold)


def _distance(builder: Builder, hidden: Array, steep: float) -> str:
    gap = builder.add("Abs", builder.add("Sub", "x", hidden[None]))
    return builder.add("MatMul", gap, np.full((hidden.size, 1), steep))


def _bump(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    """One minus a steep distance, cut at zero."""
    return builder.add(
        "Relu", builder.add("Sub", 1.0, _distance(builder, hidden, 10 ** generator.uniform(1.5, 3)))
    )


def _stairs(rounding: str, **attributes: Any) -> Callable[[Builder, Array, np.random.Generator], str]:
    """A flat top: 1 where the first input rounds to the hidden one's number, 0 elsewhere."""

    def hide(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
        first = builder.add("MatMul", "x", np.eye(hidden.size, 1))
        scaled = builder.add("Mul", first, float(generator.integers(50, 400)))
        number = builder.add(rounding, scaled, **attributes)
        if rounding == "Cast":
            number = builder.add("Cast", number, to=TensorProto.FLOAT)
        target = reference(builder.model(number), hidden[None])
        return builder.add(
            "Relu", builder.add("Sub", 1.0, builder.add("Abs", builder.add("Sub", number, target)))
        )

    return hide


def _comparison(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    near = builder.add("Less", _distance(builder, hidden, 1.0), 10 ** generator.uniform(-3, -1.5))
    if generator.random() < 0.5:
        return builder.add("Where", near, np.ones((1, 1)), np.zeros((1, 1)))
    return builder.add("Cast", near, to=TensorProto.FLOAT)


def _both(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    first = builder.add("MatMul", "x", np.eye(hidden.size, 1))
    width = 10 ** generator.uniform(-3, -1.5)
    after = builder.add("Greater", first, np.full((1, 1), hidden[0] - width))
    before = builder.add("Not", builder.add("Greater", first, np.full((1, 1), hidden[0] + width)))
    return builder.add("Cast", builder.add("And", after, before), to=TensorProto.FLOAT)


def _truth(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    """A cast to bool: 1 wherever a bump is not quite 0."""
    return builder.add(
        "Cast", builder.add("Cast", _bump(builder, hidden, generator), to=TensorProto.BOOL), to=1
    )


def _half(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    """What a cast to half precision takes away, far from zero, where it is the hidden point's."""
    first = builder.add("Add", builder.add("MatMul", "x", np.eye(hidden.size, 1)), 2000.0)
    half = builder.add("Cast", builder.add("Cast", first, to=TensorProto.FLOAT16), to=TensorProto.FLOAT)
    return builder.add("Mul", builder.add("Sub", half, first), np.sign(0.1 + hidden[0]))


def _sign(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    steep = builder.add("Sub", 10 ** generator.uniform(-3, -1.5), _distance(builder, hidden, 1.0))
    return builder.add("Sign", steep)


def _threshold(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    return builder.add("ThresholdedRelu", _bump(builder, hidden, generator), alpha=0.5)


def _pooled(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    """The largest of bumps, seen only by the last window of a pooling that rounds up."""
    bump = builder.reshaped(_bump(builder, hidden, generator), 1, 1, 1)
    row = builder.add("Concat", np.zeros((1, 1, 4)), bump, axis=2)
    pooled = builder.add("MaxPool", row, kernel_shape=[2], strides=[2], ceil_mode=1)
    return builder.add("Gather", pooled, builder.weight([2], np.int64), axis=2)


def _resized(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    """An entry that only one way to choose the nearest brings."""
    bump = builder.reshaped(_bump(builder, hidden, generator), 1, 1, 1)
    row = builder.add("Concat", np.zeros((1, 1, 2)), bump, np.zeros((1, 1, 2)), axis=2)
    mode = str(generator.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    places = str(generator.choice(["half_pixel", "asymmetric", "align_corners"]))
    scales = np.array([1, 1, 1.6], np.float32)
    long = builder.add(
        "Resize", row, "", scales, mode="nearest", nearest_mode=mode, coordinate_transformation_mode=places
    )
    at = int(reference(builder.model(long), hidden[None]).argmax())
    return builder.add("Gather", long, builder.weight([at], np.int64), axis=2)


def _recurrent(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
    """A bump that a recurrent layer carries through a sequence."""
    bump = builder.reshaped(_bump(builder, hidden, generator), 1, 1, 1)
    row = builder.add("Concat", bump, np.zeros((3, 1, 1)), axis=0)
    return builder.add(
        "RNN", row, np.ones((1, 1, 1)), np.ones((1, 1, 1)), hidden_size=1, activations=["Relu"]
    )


def _last(
    hide: Callable[[Builder, Array, np.random.Generator], str],
) -> Callable[[Builder, Array, np.random.Generator], str]:
    def last(builder: Builder, hidden: Array, generator: np.random.Generator) -> str:
        return builder.add("Gather", hide(builder, hidden, generator), builder.weight([3], np.int64), axis=0)

    return last


_KINDS: dict[str, Callable[[Builder, Array, np.random.Generator], str]] = {
    "bump": _bump,
    "floor": _stairs("Floor"),
    "to int64": _stairs("Cast", to=TensorProto.INT64),
    "comparison": _comparison,
    "to bool": _truth,
    "pooling": _pooled,
    "ceil": _stairs("Ceil"),
    "to int32": _stairs("Cast", to=TensorProto.INT32),
    "to uint8": _stairs("Cast", to=TensorProto.UINT8),
    "round": _stairs("Round"),
    "and": _both,
    "half": _half,
    "sign": _sign,
    "threshold": _threshold,
    "resize": _resized,
    "rnn": _last(_recurrent),
}
