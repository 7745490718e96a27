"""`trace`: capture a torch module as a graph of core ATen operators, with live parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, SupportsIndex

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind
from torch.nn.modules.dropout import _DropoutNd

from robustsuite import module_state
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.tracing import agreement, separation
from robustsuite.bounds.tracing.baked import Snapshot, snapshot
from robustsuite.bounds.tracing.calls import Call, calls_of
from robustsuite.bounds.tracing.capture import check_capture, check_takes, export
from robustsuite.bounds.tracing.kept import Kept
from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.perturbations import Region


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A captured network. Made by `trace`; take it as it is.

    The graph reads the module's parameters and buffers whenever it is used: after an optimiser step the bounds
    are those of the new weights, and gradients of the bounds flow into them.

    Attributes:
        module: the module that was traced, or one that computes what was derived from it (`jacobian`).
        input_shapes: shape of each input for one example.
        output_shape: shape of the output for one example.
        sound: whether bounds hold for the network as it is computed in floating point.
    """

    module: nn.Module
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    _traced: nn.Module
    _calls: tuple[Call, ...]
    _output: fx.Node
    _live: dict[str, str]
    _constants: dict[str, Tensor]
    _weight: str | None
    _dropouts: tuple[tuple[str, _DropoutNd], ...]
    _extend: tuple[Callable[[Program], Ref], ...] = ()
    sound: bool = False
    _dtype: torch.dtype | None = None
    _baked: Snapshot | None = None
    _kept: Kept = field(default_factory=Kept)

    def __copy__(self) -> Graph:
        """Give a graph of the same module, which writes its program anew."""
        return replace(self, _kept=Kept())

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse deep copies and pickles: a graph is bound to its module.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(
            "a graph is bound to the module that it was traced from, and cannot be copied or pickled; copy the module and "
            "trace the copy: bounds.trace(copy.deepcopy(module), example)"
        )

    def bind(self, regions: Sequence[Region]) -> Program:
        """Write the network as a program for a batch of regions, with the parameters' present values.

        Raises:
            InvalidInput: the regions do not fit the network's inputs.
            UnsupportedOperator: an operator has no rule.
        """
        self._check(regions)
        if torch.is_autocast_enabled(regions[0].center.device.type):
            raise InvalidInput(
                "bounds inside of torch.autocast would be computed in a coarser dtype; leave the block, or turn it off "
                "for them: with torch.autocast(device_type, enabled=False)"
            )
        if self._baked is not None:
            self._baked.check()
        program = Program([region.center.unsqueeze(1) for region in regions], sound=self.sound)
        given, fresh = self._present(program.device)
        is_training = partial(_in_training, self._traced)
        output = self._kept.write(program, self._calls, given, fresh, self._output, is_training)
        if not isinstance(output, Ref):
            raise InvalidInput("the network's output does not depend on its input; nothing to bound")
        if output.masked is not None and bool(output.masked.any()):
            raise UnsupportedOperator(
                "the network's output has entries of -inf (of a mask); nothing bounds them"
            )
        for extend in self._extend:
            program.output = extend(program).index
        return program

    def placeholders(self, inputs: Sequence[Any], device: torch.device) -> dict[fx.Node, Any]:
        """Give what the traced graph starts from: the inputs, and the present parameters, buffers and constants."""
        given, _ = self._present(device)
        own = (call.node for call in self._calls if call.function is None and call.node not in given)
        return given | dict(zip(own, inputs, strict=True))

    def _present(self, device: torch.device) -> tuple[dict[fx.Node, Tensor], frozenset[fx.Node]]:
        """Give the present parameters, buffers and constants on a device, and which are new tensors in each call."""
        given, fresh = {}, set()
        for call in self._calls:
            if call.function is not None:
                continue
            if call.name in self._live:
                value = _attribute(self._traced, self._live[call.name])
                if value.shape != call.node.meta["val"].shape:
                    raise InvalidInput(
                        f"'{self._live[call.name]}' had shape {tuple(call.node.meta['val'].shape)} when the module was "
                        f"traced and has {tuple(value.shape)} now; trace again"
                    )
                if value.grad_fn is not None:
                    fresh.add(call.node)
            elif call.name in self._constants:
                value = self._constants[call.name]
                if value.device != device:
                    value = value.to(device)
                    fresh.add(call.node)
            else:
                continue
            given[call.node] = value
        return given, frozenset(fresh)

    def derive(
        self, module: nn.Module, output_shape: tuple[int, ...], extend: Callable[[Program], Ref]
    ) -> Graph:
        """Give the graph of a function of this one's output, or of how it came about.

        Args:
            module: computes the same function, for searches.
            output_shape: of the result for one example.
            extend: adds steps to a program and gives the new output.
        """
        return replace(self, module=module, output_shape=output_shape, _extend=(*self._extend, extend))

    def _check(self, regions: Sequence[Region]) -> None:
        if len(regions) != len(self.input_shapes):
            raise InvalidInput(
                f"{len(regions)} regions given for a network of {len(self.input_shapes)} inputs; "
                "pass one region per traced input"
            )
        for region, shape in zip(regions, self.input_shapes, strict=True):
            if tuple(region.center.shape[1:]) != shape:
                raise InvalidInput(
                    f"the region's examples have shape {tuple(region.center.shape[1:])}; the network was traced "
                    f"with examples of shape {shape}: the first axis is the batch"
                )
            if region.is_unbounded:
                raise InvalidInput(
                    "the region is endless and has no range of valid values; expected a bounded one: give clip, as in "
                    "Linf(inf, clip=(0, 1)), or a finite radius"
                )
            mine = region.center if self._weight is None else _attribute(self._traced, self._weight)
            if (mine.dtype, mine.device) != (region.center.dtype, region.center.device):
                raise InvalidInput(
                    f"the region is {region.center.dtype} on {region.center.device} and the network {mine.dtype} "
                    f"on {mine.device}; move one of them with .to(...)"
                )
            if self._dtype not in (None, region.center.dtype):
                raise InvalidInput(
                    f"the network names dtypes, and was traced with examples of {self._dtype}; trace again with "
                    f"examples of {region.center.dtype}"
                )
        sizes = {len(region.center) for region in regions}
        if len(sizes) > 1:
            raise InvalidInput(f"regions have batch sizes {sorted(sizes)}; expected one size")
        if sizes == {0}:
            raise InvalidInput("the region has no examples; expected a batch of at least one")
        for name, part in self._dropouts:
            if part.training and part.p > 0:
                raise InvalidInput(
                    f"dropout '{name}' is in training mode and has no fixed function to bound; "
                    "call model.eval(), or remove the dropout while training with bounds"
                )


def _names_a_dtype(call: Call) -> bool:
    return any(isinstance(value, torch.dtype) for value in (*call.args, *call.kwargs.values()))


def _in_training(module: nn.Module, node: fx.Node) -> bool:
    """Say whether the innermost module that a node came from is in training mode."""
    for path, _ in reversed((node.meta.get("nn_module_stack") or {}).values()):
        try:
            return module.get_submodule(path).training
        except AttributeError:
            continue
    return module.training


def trace(module: nn.Module, example: Tensor | tuple[Tensor, ...], *, sound: bool = False) -> Graph:
    """Capture a module once; the batch size stays free and the parameters stay live.

    Args:
        module: maps a batch (or several) to a batch of outputs, each example on its own. It is traced in eval
            mode; if it is in training mode when bounds are asked for, batch normalisation uses the statistics
            of the clean batch.
        example: a batch of inputs with shape (batch, *input), or a tuple for several inputs.
        sound: have all bounds of this graph hold for the network as it is computed in floating point, and not only in
            real numbers: every step is widened by a proven bound of its rounding error (see
            `robustsuite.bounds.passes.rounding`). Costs up to twice the time; `forward` is not available then.

    Returns:
        A graph for `ibp`, `crown` and the other methods.

    Raises:
        InvalidInput: the module mixes the examples of a batch, or cannot be captured.
        UnsupportedOperator: an operator has no bounding rule; the message names it and its module.

    Example:
        >>> import torch
        >>> from robustsuite import Linf, bounds
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
        >>> net = bounds.trace(model, torch.zeros(1, 2))
        >>> b = bounds.crown(net, Linf(0.1).around(torch.zeros(3, 2)))
        >>> b.lower.shape
        torch.Size([3, 1])
    """
    # A module may write into what it is given.
    examples = tuple(value.detach().clone() for value in check_capture(module, example))
    first = tuple(value[:1].clone() for value in examples)
    with module_state.evaluating(module), module_state.kept_buffers(module):
        check_takes(module, first)
        exported = export(module, first)
        signature = exported.graph_signature
        live, constants = {}, {}
        for spec in signature.input_specs:
            name = getattr(spec.arg, "name", None)
            if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and name and spec.target:
                if _has_attribute(module, spec.target):
                    live[name] = spec.target
                else:
                    constants[name] = exported.constants[spec.target]
            elif spec.kind is InputKind.CONSTANT_TENSOR and name and spec.target:
                constant = exported.constants[spec.target]
                assert isinstance(constant, Tensor)
                constants[name] = constant
        if len(signature.user_outputs) != 1:
            raise InvalidInput(
                f"the module returns {len(signature.user_outputs)} tensors; wrap it in a module that returns the "
                "one to bound"
            )
        nodes = tuple(exported.graph.nodes)
        calls = calls_of(nodes[:-1], set(live) | set(constants), first[0].dtype)
        output_node = _output(nodes[-1].args, signature.user_outputs[0])
        output_shape = tuple(output_node.meta["val"].shape)
        graph = Graph(
            module=module,
            _traced=module,
            input_shapes=tuple(tuple(value.shape[1:]) for value in first),
            output_shape=output_shape[1:] if output_shape[:1] == (1,) else output_shape,
            _calls=calls,
            _output=output_node,
            sound=sound,
            _live=live,
            _constants=constants,
            _dtype=first[0].dtype if any(_names_a_dtype(call) for call in calls) else None,
            _weight=next((n for n, p in module.named_parameters() if p.is_floating_point()), None),
            _dropouts=tuple((n, part) for n, part in module.named_modules() if isinstance(part, _DropoutNd)),
        )
        baked = snapshot(module)
        agreement.check_rules(calls, graph.placeholders(first, first[0].device))
        agreement.check_module(graph, examples)
        baked = baked.kept()
        separation.check(module, examples)
        graph = replace(graph, _baked=baked.kept())
    return graph


def _output(args: Any, name: str | None) -> fx.Node:
    """Find the node of a graph's output; what stands beside it (updates of buffers) is of no concern to bounds.

    Raises:
        InvalidInput: the module returns no tensor of real numbers.
    """
    found = next((node for node in args[0] if isinstance(node, fx.Node) and node.name == name), None)
    value = None if found is None else found.meta.get("val")
    if found is None or not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        kind = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else "no tensor"
        raise InvalidInput(
            f"the module returns {kind}; expected one tensor of floating point numbers: wrap it in a module that returns it"
        )
    return found


def _attribute(module: nn.Module, path: str) -> Tensor:
    value: Any = module
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, Tensor)
    return value


def _has_attribute(module: nn.Module, path: str) -> bool:
    try:
        return isinstance(_attribute(module, path), Tensor)
    except (AttributeError, AssertionError):
        return False
