"""The nodes of a traced graph, each looked through once, so that writing them as steps takes little."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules import TABLE, masks
from robustsuite.bounds.rules.table import Rule, handled
from robustsuite.bounds.tracing import dtypes
from robustsuite.errors import RobustsuiteError, UnsupportedOperator


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node of the traced graph.

    Attributes:
        node: the node.
        name: of a placeholder; empty for an operator.
        function: the operator; None for an input.
        rule: writes the operator as steps, where something that it takes is perturbed; None where nothing is.
        args, kwargs: what the operator takes.
        for_rule: what the rule takes of that.
        perturbed: those of the node's sources that depend on the input.
        where: for messages.
        nested: whether nodes may stand inside of lists among the arguments.
    """

    node: fx.Node
    name: str = ""
    function: Callable[..., Any] | None = None
    rule: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    for_rule: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {})
    perturbed: frozenset[fx.Node] = frozenset()
    where: str = ""
    nested: bool = False

    def apply(self, program: Program, values: Mapping[fx.Node, Any]) -> Any:
        """Add the operator's steps to a program, or compute it where all that it takes is constant."""
        assert self.function is not None
        if self.rule is None:
            args, kwargs = self._with(values, self.args, self.kwargs)
            return self.function(*args, **kwargs)
        args, kwargs = self._with(values, *self.for_rule)
        if not any(map(is_perturbed, (*args, *kwargs.values()))):
            args, kwargs = self._with(values, self.args, self.kwargs)
            return self.function(*args, **kwargs)
        like = program.dtype
        args = [a.to(like) if _is_finer(a, like) else a for a in args]
        return self.stamped(self.by_rule(program, args, kwargs), args, kwargs)

    def by_rule(self, program: Program, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Apply the rule to its own arguments.

        Raises:
            UnsupportedOperator: it cannot have a further argument perturbed.
        """
        assert self.rule is not None
        try:
            return self.rule(program, *args, **kwargs)
        except RobustsuiteError:
            raise
        except (AssertionError, AttributeError, TypeError) as error:
            further = _further(self.rule, args, kwargs)
            if not further or all(further):
                raise  # a fault of the rule
            raise UnsupportedOperator(
                f"the bounding rule of '{name_of(self.node)}' at {self.where} cannot have its further arguments "
                "perturbed; leave the parameters or inputs that they come from unperturbed"
            ) from error

    def stamped(self, result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Say of a rule's results what the network keeps them in, and which entries stand for minus infinity."""
        meta = self.node.meta.get("val")
        low: Tensor | None = None
        if any(_is_masked(value) for value in args):
            low = masks.after(self.function, args, kwargs, self.where)
        if isinstance(result, Ref):
            return _stamp(result, meta, low)
        if isinstance(result, tuple):
            low = None if low is None or len(result) > 1 and isinstance(result[1], Ref) else low
            return tuple(
                _stamp(part, of, low) if isinstance(part, Ref) else part
                for part, of in zip(result, meta or (), strict=False)
            )
        return result

    def _with(
        self, values: Mapping[fx.Node, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        if self.nested:
            return fx.map_arg(tuple(args), values.__getitem__), fx.map_arg(dict(kwargs), values.__getitem__)
        return [values[a] if isinstance(a, fx.Node) else a for a in args], kwargs


def _further(rule: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[bool]:
    """Say of each perturbed argument after the first whether the rule's signature says that it may be perturbed."""
    bound = inspect.signature(rule).bind(None, *args, **kwargs)
    named = list(bound.arguments.items())[2:]  # after the program and the first
    parameters = bound.signature.parameters
    return ["Ref" in str(parameters[name].annotation) for name, value in named if is_perturbed(value)]


def _is_finer(value: Any, dtype: torch.dtype) -> bool:
    """Say whether a constant is kept in another floating point dtype than bounds are computed in."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.dtype != dtype


def is_perturbed(value: Any) -> bool:
    """Say whether a value, or an entry of a list, depends on the input."""
    if isinstance(value, list | tuple):
        return any(map(is_perturbed, value))
    return isinstance(value, Ref)


def _is_masked(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_masked, value))
    return isinstance(value, Ref) and value.masked is not None


def _stamp(result: Ref, meta: Any, low: Tensor | None) -> Ref:
    own = result.masked
    if low is not None:
        own = low if own is None else own | low
    dtype = meta.dtype if isinstance(meta, Tensor) else None
    return (
        result if own is result.masked and dtype == result.dtype else replace(result, dtype=dtype, masked=own)
    )


def calls_of(nodes: Sequence[fx.Node], constant: Container[str], inputs: torch.dtype) -> tuple[Call, ...]:
    """Look through the nodes; what no rule understands is refused now, not at the first bound.

    Args:
        nodes: of the graph, without its output.
        constant: names of the placeholders that are no inputs.
        inputs: the dtype of the network's inputs.

    Raises:
        UnsupportedOperator: an operator has no rule, or is given an argument or a dtype that its rule does not handle.
    """
    perturbed: set[fx.Node] = set()
    calls = []
    for node in nodes:
        if node.op == "placeholder":
            if node.name not in constant:
                perturbed.add(node)
            calls.append(Call(node, node.name))
            continue
        where = where_of(node)
        if node.op != "call_function" or isinstance(node.target, torch._ops.HigherOrderOperator):
            raise UnsupportedOperator(
                f"{where} chooses or repeats parts of the network while it runs, which no bound follows; write both ways "
                "out, and join them by torch.where"
            )
        assert callable(node.target)
        rule: Rule | None = None
        for_rule: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {})
        if any(source in perturbed for source in node.all_input_nodes):
            perturbed.add(node)
            if node.target is not operator.getitem:
                rule = TABLE.get(node.target)
                if rule is None:
                    raise UnsupportedOperator(
                        f"no bounding rule for operator '{name_of(node)}' at {where}; rewrite this part with "
                        "supported operators, or add a rule to a table in robustsuite/bounds/rules"
                    )
                for_rule = handled(node.target, rule, node.args, node.kwargs, where)
                dtypes.check(node, perturbed, inputs, where)
        if rule is None and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise UnsupportedOperator(
                f"{where} is random, so that there is no one function to bound; draw once and keep it in a buffer"
            )
        nested = any(isinstance(a, list | tuple | dict | slice) for a in (*node.args, *node.kwargs.values()))
        nested = nested or any(isinstance(a, fx.Node) for a in node.kwargs.values())
        calls.append(
            Call(
                node=node,
                function=node.target,
                rule=rule,
                args=tuple(node.args),
                kwargs=dict(node.kwargs),
                for_rule=for_rule,
                perturbed=frozenset(n for n in node.all_input_nodes if n in perturbed),
                where=where,
                nested=nested,
            )
        )
    return tuple(calls)


def name_of(node: fx.Node) -> str:
    """Give the operator's name."""
    return str(node.target).removesuffix(".default")


def where_of(node: fx.Node) -> str:
    """Name the module a node came from: 'layers.0 (torch.nn.modules.linear.Linear)'."""
    stack = [entry for entry in (node.meta.get("nn_module_stack") or {}).values() if entry[0]]
    if not stack:
        return f"{name_of(node)} of the traced module"
    path, kind = stack[-1]
    kind = kind if isinstance(kind, str) else kind.__name__
    return f"{name_of(node)} of module '{path}' ({kind.rsplit('.', 1)[-1]})"
