"""Programs that are kept from call to call, where no rule has looked at a value.

Writing a network as steps takes as long as IBP on a small one. What a rule writes depends on shapes, on numbers in the
graph and on which tensors it is given; as a rule it only hands the parameters on, to steps that read them whenever they are
used. So a rule is watched when it is run first. If it does anything with a parameter, a buffer or a constant but hand it on (an
operation, a test of its values), asks for clean values of the batch or for the mode of a module, or takes what was computed
from a parameter, it is run again in each call, and nothing of its steps is kept but their form. All others are kept as long as
they are given the very tensors that they were given before. Where a rule that is run again writes steps of another form, the
whole program is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.overrides import TorchFunctionMode

from robustsuite.bounds.operations import Affine
from robustsuite.bounds.program import Program, Ref, Step, Structure
from robustsuite.bounds.tracing.calls import Call

_Given = dict[fx.Node, Tensor]
_Form = tuple[Any, ...]

# What a tensor may be asked without its values. Of a tensor in the place of another, dtype and device are compared each
# time, and the shape is that of the trace.
_DESCRIPTIONS = frozenset(
    [
        getattr(Tensor, name).__get__
        for name in ("shape", "dtype", "device", "ndim", "is_cuda", "is_meta", "layout")
    ]
    + [Tensor.dim, Tensor.size, Tensor.numel, Tensor.__len__, Tensor.is_floating_point, Tensor.is_complex]
)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one call of the graph added to a program.

    Attributes:
        again: whether the call is to be run again each time.
        form: of its result and steps.
        weights: those of its steps that hold convex weights.
        value: its result, unless it is run again.
        steps: its steps, unless it is run again.
    """

    again: bool
    form: _Form
    weights: frozenset[int]
    value: Any
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """A program as it was written.

    Attributes:
        given: parameters, buffers and constants, with dtype and device.
        parts: one for each call that is no placeholder.
        steps: all after those of the inputs, where none is written again; else None.
        value: the result.
        weights: steps that hold convex weights.
        structure: what follows from the form of the steps.
    """

    given: tuple[tuple[fx.Node, Tensor, torch.dtype, torch.device], ...]
    parts: dict[fx.Node, _Part]
    steps: tuple[Step, ...] | None
    value: Ref
    weights: frozenset[int]
    structure: Structure

    def changed(self, given: _Given) -> set[fx.Node]:
        """Say which parameters, buffers and constants are other tensors now, or of another kind."""
        return {
            node
            for node, value, dtype, device in self.given
            if (now := given[node]) is not value or now.dtype != dtype or now.device != device
        }


class _Other(Exception):
    """A rule that was run again wrote steps of another form."""


@dataclass(slots=True, eq=False)
class Kept:
    """The programs of one graph, one for each dtype and device. A constant of the graph is treated as a buffer: a module may
    share it with others that write into it."""

    _written: dict[Any, _Written] = field(default_factory=dict)

    def write(
        self,
        program: Program,
        calls: Sequence[Call],
        given: _Given,
        fresh: frozenset[fx.Node],
        output: fx.Node,
        is_training: Callable[[fx.Node], bool],
    ) -> Any:
        """Write the steps of a graph into a program that has those of its inputs, and give the graph's result.

        Args:
            program: of the present batch.
            calls: of the graph.
            given: the present parameters, buffers and constants.
            fresh: those of them that are new tensors in each call: what was computed has a history of its own, and may
                not be held on to.
            output: the node of the result.
            is_training: says whether the module that a node came from is in training mode.
        """
        default, inference = torch.get_default_dtype(), torch.is_inference_mode_enabled()
        key = program.dtype, program.device, default, inference, fresh
        old = self._written.get(key)
        changed = set() if old is None else old.changed(given)
        if old is not None and old.steps is not None and not changed:
            program.convex_weights.update(old.weights)
            program.extend(old.steps, old.value.index, old.structure)
            return old.value
        begin = len(program.steps)
        writer = _Writer(program, given, fresh, is_training, old, changed)
        try:
            values = writer.run(calls)
        except _Other:
            del program.steps[begin:]
            program.convex_weights.clear()
            old = None
            writer = _Writer(program, given, fresh, is_training, None, set())
            values = writer.run(calls)
        result = values[output]
        if isinstance(result, Ref):
            program.extend((), result.index, None if old is None else old.structure)
            if old is None or changed:
                self._written[key] = writer.written(program, begin, result)
        return result


class _Writer:
    """One run over a graph's calls."""

    def __init__(
        self,
        program: Program,
        given: _Given,
        fresh: frozenset[fx.Node],
        is_training: Callable[[fx.Node], bool],
        old: _Written | None,
        changed: set[fx.Node],
    ) -> None:
        self._program, self._is_training = program, is_training
        self._given, self._fresh = given, fresh
        self._ids = frozenset(map(id, given.values()))
        self._old, self._changed = old, changed
        self._fluid: set[fx.Node] = set(fresh)  # nodes whose values are others in each call
        self._parts: dict[fx.Node, _Part] = {}

    def run(self, calls: Sequence[Call]) -> dict[fx.Node, Any]:
        """Apply the calls in turn; give the values of all nodes."""
        values: dict[fx.Node, Any] = dict(self._given)
        inputs = iter(enumerate(self._program.steps[:]))
        for call in calls:
            if call.function is not None:
                values[call.node] = self._apply(call, values)
            elif call.node not in values:
                index, step = next(inputs)
                values[call.node] = Ref(index, step.shape)
        return values

    def written(self, program: Program, begin: int, result: Ref) -> _Written:
        """Give what may be kept."""
        whole = not any(part.again for part in self._parts.values())
        return _Written(
            given=tuple((n, v, v.dtype, v.device) for n, v in self._given.items() if n not in self._fresh),
            parts=self._parts,
            steps=tuple(program.steps[begin:]) if whole else None,
            value=result,
            weights=frozenset(program.convex_weights),
            structure=program.structure,
        )

    def _apply(self, call: Call, values: Mapping[fx.Node, Any]) -> Any:
        program, node = self._program, call.node
        part = None if self._old is None else self._old.parts[node]
        sources = node.all_input_nodes
        if part is not None and not part.again and not any(source in self._changed for source in sources):
            program.steps.extend(part.steps)
            program.convex_weights.update(part.weights)
            self._parts[node] = part
            return part.value
        begin, before = len(program.steps), frozenset(program.convex_weights)
        program.begin(call.where, partial(self._is_training, node))
        program.asked = False
        if part is not None and part.again:
            again = True
            value = call.apply(program, values)
        else:
            watch = _Watch(self._ids)
            with watch:
                value = call.apply(program, values)
            again = watch.touched or program.asked or any(source in self._fluid for source in sources)
        steps, weights = tuple(program.steps[begin:]), program.convex_weights - before
        form = (_form_of(value), tuple(map(_form_of_step, steps)), weights)
        if part is not None and (form != part.form or again != part.again):
            raise _Other
        if again and not _is_plain(value):
            self._fluid.add(node)
        kept = (None, ()) if again else (value, steps)
        self._parts[node] = _Part(again, form, frozenset(weights), *kept)
        return value


class _Watch(TorchFunctionMode):
    """Notes whether some tensors are asked for more than their description.

    Args:
        live: their identities.
    """

    def __init__(self, live: frozenset[int]) -> None:
        super().__init__()
        self._live, self.touched = live, False

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function, and look at what it takes."""
        kwargs = kwargs or {}
        if func not in _DESCRIPTIONS and self._any((*args, *kwargs.values())):
            self.touched = True
        return func(*args, **kwargs)

    def _any(self, values: Sequence[Any]) -> bool:
        return any(self._any(v) if isinstance(v, list | tuple) else id(v) in self._live for v in values)


def _is_plain(value: Any) -> bool:
    """Say whether a result is the same as long as its form is: steps, without masks."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, Ref) and value.masked is None


def _form_of(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_form_of, value))
    if isinstance(value, Ref):
        return value.index, value.shape, value.dtype, value.masked is None
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    return type(value)


def _form_of_step(step: Step) -> _Form:
    apart = isinstance(step.op, Affine) and step.op.keeps_features_apart()
    refined = step.refine is not None, step.refine_from
    return type(step.op), apart, step.inputs, step.shape, refined, step.masked
