"""Decide properties of networks: is there an input in the unsafe set, or is it proved that there is none?

What an answer means:

- *sat*: a counterexample was found that satisfies the property as it is written, in exact arithmetic: the input is in
  the box, `<` is not `<=`, and the conditions hold for the outputs that the network computes for it, here and, where
  it is installed, in onnxruntime. An input whose bounds leave no number of the network's dtype between them
  (``X_0 = 0.1``) is given as a decimal, which the network receives rounded.
- *unsat*: bounds prove that there is none, on a box that is rounded outwards, with limits that are not rounded in its
  favour. By default the bounds are of the network in real numbers, computed with rounding: the tolerance that
  VNN-COMP's rules leave. With ``sound=True`` they hold for the network as it is computed in floating point, under the
  assumptions of `robustsuite.bounds.passes.rounding`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite import bounds, seeding
from robustsuite.bounds import Graph
from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats import Case, InputBox, OnnxNetwork, UnsafeSet, counterexamples
from robustsuite.formats.conditions import Rows, rows_of
from robustsuite.formats.instances import MAX_TIMEOUT
from robustsuite.perturbations import BoxRegion

_MARGINS = (16, 4096)  # units of rounding by which a second and a third search go below the limits


class Result(Enum):
    """What is known of an unsafe set, in the words of VNN-COMP."""

    UNSAT = "unsat"
    """No input is unsafe: proved."""
    SAT = "sat"
    """An unsafe input was found, and run through the network."""
    UNKNOWN = "unknown"
    """The method came to its end without an answer."""
    TIMEOUT = "timeout"
    """Time ran out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """The answer to one question.

    Attributes:
        result: what is known.
        inputs, outputs: the unsafe input, shape (inputs,), and the network's output for it, shape (outputs,), if
            the result is SAT; else None.
        decimals: the input as decimals that lie in the box as it is written; rounded to the network's dtype they
            are `inputs`. Empty if the result is not SAT.
        seconds: spent, where the files were read too; see `robustsuite.commands.deciding`.
    """

    result: Result
    inputs: Float[Tensor, " inputs"] | None = None
    outputs: Float[Tensor, " outputs"] | None = None
    decimals: tuple[str, ...] = ()
    seconds: float = 0.0

    def __str__(self) -> str:
        """Give the answer's word, and for SAT the counterexample in VNN-COMP's form."""
        if self.inputs is None or self.outputs is None:
            return self.result.value
        inputs = self.decimals or counterexamples.shortened(self.inputs)
        values = [
            f"({kind}_{number} {text})"
            for kind, texts in (("X", inputs), ("Y", counterexamples.shortened(self.outputs)))
            for number, text in enumerate(texts)
        ]
        return f"{self.result.value}\n(" + "\n".join(values) + ")"


def check_timeout(timeout: float) -> None:
    """Raise where a timeout is no number of seconds, > 0 and at most `MAX_TIMEOUT`."""
    if not 0 < timeout <= MAX_TIMEOUT:
        raise InvalidInput(f"timeout is {timeout}; expected seconds > 0, at most {MAX_TIMEOUT:g}")


def decide(
    net: OnnxNetwork,
    unsafe: UnsafeSet,
    *,
    timeout: float = 60.0,
    seed: int = 0,
    sound: bool = False,
    reference: counterexamples.Network | None = None,
) -> Decision:
    """Decide whether a network's input and output may lie in an unsafe set.

    Cases with the same input box are decided together. See the module's text for what an answer means.

    Args:
        net: from `load_onnx`.
        unsafe: from `load_vnnlib`.
        timeout: seconds, > 0.
        seed: of the attack's starting points.
        sound: have `unsat` hold for the network as it is computed in floating point, and not only in real numbers.
            Costs up to twice the time, and decides less where rounding matters.
        reference: the same network computed by other means; maps an input of shape (inputs,) to the output, shape
            (outputs,). A counterexample has to hold for its outputs too.

    Raises:
        InvalidInput: the numbers of inputs or outputs differ, bounds are beyond the network's dtype, or the timeout
            is not positive.
        UnsupportedOperator: `sound`, and an operator's error in floating point is not bounded.
    """
    start = time.monotonic()
    check_timeout(timeout)
    if sound and net.cancelling is not None:
        raise UnsupportedOperator(
            f"{net.cancelling} may err by more than what sound=True bounds, as runtimes compute it in a form that cancels "
            "or approximate it; expected operators whose error is one of rounding; decide it without --sound"
        )
    sizes = tuple(torch.Size(shape).numel() for shape in (net.input_shape, net.output_shape))
    if sizes != (unsafe.inputs, unsafe.outputs):
        raise InvalidInput(
            f"the property is about {unsafe.inputs} inputs and {unsafe.outputs} outputs, the network has "
            f"{sizes[0]} and {sizes[1]}; do the two files belong together?"
        )
    like = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(()))
    boxes = _by_box(unsafe.cases)
    outer = [counterexamples.around(cases[0].box, like) for cases in boxes]
    if not boxes:
        return Decision(result=Result.UNSAT)
    mixed = any(condition.inputs for case in unsafe.cases for condition in case.conditions)
    graph = bounds.trace(_Flat(net, with_inputs=mixed), _example(net, *outer[0]), sound=sound)
    question = _Question(net, graph, unsafe.outputs, like, seed, () if reference is None else (reference,))
    open_ = list(zip(boxes, outer, strict=True))
    unknown = False
    while open_:
        late = []
        for number, (cases, ends) in enumerate(open_):
            left = timeout - (time.monotonic() - start)
            if left <= 0:
                return Decision(result=Result.TIMEOUT)
            found = _decide_box(question, cases, ends, left / (len(open_) - number))
            if found.result is Result.SAT:
                return found
            unknown |= found.result is Result.UNKNOWN
            if found.result is Result.TIMEOUT:
                late.append((cases, ends))
        open_ = late  # what the others have left of their time is theirs
    return Decision(result=Result.UNKNOWN if unknown else Result.UNSAT)


def _example(net: OnnxNetwork, lower: Tensor, upper: Tensor) -> Tensor:
    """Give an input at which the network is finite: zero, or one in the box, shape (1, *input_shape).

    Zero, and the middle of a box, may be poles of the network.
    """
    points = [(lower + (upper - lower) * part).view(1, *net.input_shape) for part in (0.5, 0.375, 0.75)]
    with torch.no_grad():
        found = (point for point in (points[0] * 0, *points) if bool(net(point).isfinite().all()))
        return next(found, points[0])


class _Flat(nn.Module):
    """A network with its output flat, and its input appended where the property is about both."""

    def __init__(self, net: nn.Module, *, with_inputs: bool) -> None:
        super().__init__()
        self.net, self._with_inputs = net, with_inputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x).flatten(1)
        return torch.cat([y, x.flatten(1)], 1) if self._with_inputs else y


def _by_box(cases: tuple[Case, ...]) -> list[list[Case]]:
    groups: dict[InputBox, list[Case]] = {}  # by identity: equal boxes are the same
    for case in cases:
        groups.setdefault(case.box, []).append(case)
    return list(groups.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What is the same for all boxes of a property.

    Attributes:
        net: the network.
        graph: of its flat output, with the inputs appended where conditions are about them.
        outputs: of the network.
        like: gives dtype and device.
        seed: of the searches.
        references: further networks that a counterexample has to satisfy.
    """

    net: OnnxNetwork
    graph: Graph
    outputs: int
    like: Tensor
    seed: int
    references: tuple[counterexamples.Network, ...]

    def region(self, lower: Tensor, upper: Tensor) -> BoxRegion:
        lower, upper = (end.view(1, *self.net.input_shape) for end in (lower, upper))
        return BoxRegion(lower + (upper - lower) / 2, lower, upper)

    def run(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.net(x.view(1, *self.net.input_shape))[0].flatten()
        return outputs


def _decide_box(
    question: _Question, cases: list[Case], ends: tuple[Tensor, Tensor], timeout: float
) -> Decision:
    deadline = time.monotonic() + timeout
    region = question.region(*ends)
    rows = rows_of(cases, question.graph, region, outputs=question.outputs)
    inside = counterexamples.within(cases[0].box, question.like)

    def confirmed(point: Tensor | None) -> Decision | None:
        if point is None or inside is None:
            return None
        found = counterexamples.confirm(
            point.flatten(), inside=inside, cases=cases, networks=(question.run, *question.references)
        )
        if found is None:
            return None
        return Decision(
            result=Result.SAT, inputs=found.inputs, outputs=found.outputs, decimals=found.decimals
        )

    # The middle first: where all inputs are fixed, it is all there is, and searches look at it with rounding.
    found = confirmed(region.center)
    if found is not None:
        return found
    verdict = _verdict(question, region, rows, rows.offset, timeout)
    if verdict.answer is bounds.Answer.HOLDS:
        return Decision(result=Result.UNSAT)
    for units in (*_MARGINS, None):
        point = verdict.counterexample
        found = confirmed(point)
        if found is not None:
            return found
        if point is None or inside is None:
            break
        left = deadline - time.monotonic()
        if units is None or left <= 0:
            break
        # The point is unsafe up to rounding only: search for one that is so by more than that.
        with torch.no_grad():
            values = question.graph.module(point.unsqueeze(0))[0]
        size = rows.objective.abs() @ values.abs() + rows.offset.abs()
        margin = units * torch.finfo(size.dtype).eps * size
        if not bool((rows.offset + margin).isfinite().all()):
            break  # outputs that overflow are no counterexample, and no limit lies beyond them
        inner = question.region(inside.lower, inside.upper)
        verdict = _verdict(question, inner, rows, rows.offset + margin, left)
    return Decision(result=Result.TIMEOUT if time.monotonic() >= deadline else Result.UNKNOWN)


def _verdict(
    question: _Question, region: BoxRegion, rows: Rows, offset: Tensor, timeout: float
) -> bounds.Verdict:
    (verdict,) = bounds.verify(
        question.graph,
        region,
        rows.objective,
        offset=offset,
        groups=rows.groups,
        timeout=timeout,
        generator=seeding.generator(question.seed, "certify"),
    )
    return verdict
