"""What a node of an ONNX file says, held against its operator's schema and against what its importer reads.

An importer is a function: the names in its signature are the attributes and inputs that it reads. Whatever else is
set on a node, and is not the schema's default, is refused by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from onnx import defs, helper
from torch import Tensor

from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.formats.onnx_operators import OPERATORS, Operator
from robustsuite.formats.onnx_types import Static, array_of

STANDARD = ("", "ai.onnx")
OLDEST, NEWEST = 7, 25
"""The versions of the operator set whose operators were compared with onnxruntime."""


def describe(node: onnx.NodeProto) -> str:
    """Name a node: "the ONNX operator 'Relu' (node 'r')"."""
    name = f"{node.domain}.{node.op_type}" if node.domain not in STANDARD else node.op_type
    label = node.name or next((output for output in node.output if output), "")
    return f"the ONNX operator '{name}' (node '{label}')"


def line(error: Exception) -> str:
    """Give the first line of a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def version_of(model: onnx.ModelProto) -> int:
    """Give the version of the standard operator set that a model imports.

    Raises:
        UnsupportedOperator: the importers were not compared for it.
    """
    versions = {int(entry.version) for entry in model.opset_import if entry.domain in STANDARD}
    newest = min(NEWEST, defs.onnx_opset_version())
    if len(versions) != 1:
        raise InvalidInput(
            f"the network imports {len(versions)} versions of ONNX's operator set; expected one; export it again"
        )
    (version,) = versions
    if not OLDEST <= version <= newest:
        raise UnsupportedOperator(
            f"the network's operator set is version {version}; expected {OLDEST} to {newest}; convert it with "
            "onnx.version_converter or export it with another opset_version"
        )
    return version


def operator_of(node: onnx.NodeProto) -> Operator:
    """Look up a node's importer.

    Raises:
        UnsupportedOperator: there is none.
    """
    operator = OPERATORS.get(node.op_type) if node.domain in STANDARD else None
    if operator is None:
        raise UnsupportedOperator(
            f"{describe(node)} is not known; add a line to the table in robustsuite/formats/onnx_operators.py"
        )
    return operator


def schema_of(node: onnx.NodeProto, version: int) -> defs.OpSchema:
    """Give the schema of a node's operator, the node having been held against it.

    Raises:
        InvalidInput: the node does not keep to it: an attribute that it does not have, or of another type, too few
            or too many inputs, an operator that the version does not have.
    """
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": version}
    try:
        if node.domain:
            standard = onnx.NodeProto()
            standard.CopyFrom(node)
            standard.domain = ""
            node = standard
        onnx.checker.check_node(node, context)
        return defs.get_schema(node.op_type, version, "")
    except Exception as error:  # of onnx's own checker
        raise InvalidInput(
            f"{describe(node)} is not as version {version} of the operator set has it: {line(error)}; export it again"
        ) from error


def attribute(value: onnx.AttributeProto) -> Any:
    """Give the value of an attribute: text as str, a tensor as an array.

    Raises:
        InvalidInput: it stands for an argument of a function, outside of one.
    """
    if value.ref_attr_name:
        raise InvalidInput(
            f"the attribute '{value.name}' stands for '{value.ref_attr_name}' of a function; expected a value; "
            "export the network again"
        )
    found = helper.get_attribute_value(value)
    if isinstance(found, onnx.TensorProto):
        return array_of(found, value.name)
    if isinstance(found, bytes):
        return found.decode(errors="replace")
    if isinstance(found, Sequence) and found and isinstance(found[0], bytes):
        return [text.decode(errors="replace") for text in found]
    return found if isinstance(found, int | float | str | onnx.GraphProto) else list(found)


def attributes_of(
    node: onnx.NodeProto, schema: defs.OpSchema, operator: Operator, version: int
) -> dict[str, Any]:
    """Give the attributes that a node's importer reads, the schema's defaults where the node sets none.

    Raises:
        UnsupportedOperator: another attribute is set, and not to its default.
    """
    read = _readable(operator, version)
    defaults = {
        name: attribute(entry.default_value)
        for name, entry in schema.attributes.items()
        if entry.default_value.name
    }
    given = {entry.name: attribute(entry) for entry in node.attribute}
    for name, value in given.items():
        if name in read or (name in defaults and defaults[name] == value):
            continue
        shown = f"; expected {defaults[name]!r}" if name in defaults else "; expected it absent"
        raise UnsupportedOperator(
            f"{describe(node)} has {name} = {value!r}, which is not read{shown}; export the network without it"
        )
    values = {name: value for name, value in (defaults | given).items() if name in read}
    if operator.counts and values.get("num_outputs") is None:
        values["num_outputs"] = len(node.output)
    return values


def _readable(operator: Operator, version: int) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(operator.of(version)).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind in kinds}


def check_inputs(node: onnx.NodeProto, schema: defs.OpSchema, operator: Operator, version: int) -> None:
    """Refuse inputs that a node's importer does not take.

    Raises:
        UnsupportedOperator: an input is given beyond those of the function.
    """
    parameters = list(inspect.signature(operator.of(version)).parameters.values())
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = sum(parameter.kind in kinds for parameter in parameters)
    for place, name in enumerate(node.input):
        if name and place >= taken:
            raise UnsupportedOperator(
                f"{describe(node)} has the input '{_input(schema, place).name}', which is not read; export the "
                "network without it"
            )


def check_outputs(node: onnx.NodeProto, schema: defs.OpSchema, operator: Operator) -> None:
    """Refuse further outputs of an operator that computes something else where it gives them.

    Before version 14, batch norm is in training mode where it gives its running statistics.

    Raises:
        UnsupportedOperator: a node of such an operator has more than one output.
    """
    if operator.alone and len(node.output) > 1:
        raise UnsupportedOperator(
            f"{describe(node)} has the output '{schema.outputs[1].name}', which asks for training mode; expected "
            f"'{schema.outputs[0].name}' alone; export the network in eval mode"
        )


def check_types(
    node: onnx.NodeProto,
    schema: defs.OpSchema,
    operator: Operator,
    arguments: Sequence[Tensor | Static | None],
) -> None:
    """Refuse types that a node's importer does not compute with, and two types where the schema asks for one.

    Raises:
        UnsupportedOperator: an argument's type is not of those that the operator takes.
        InvalidInput: arguments of one type in the schema have several.
    """
    kinds: dict[str, torch.dtype] = {}
    for place, value in enumerate(arguments):
        if not isinstance(value, Tensor):
            continue
        if value.dtype not in operator.takes:
            raise UnsupportedOperator(
                f"{describe(node)} is given {_shown(value.dtype)} for '{_input(schema, place).name}'; expected "
                f"{' or '.join(sorted(map(_shown, operator.takes)))}; cast it, or export the network in float32"
            )
        kind = _input(schema, place).type_str
        if not kind.startswith("tensor(") and kinds.setdefault(kind, value.dtype) != value.dtype:
            raise InvalidInput(
                f"{describe(node)} is given {_shown(kinds[kind])} and {_shown(value.dtype)}; expected one type; "
                "cast one of them"
            )


def _input(schema: defs.OpSchema, place: int) -> defs.OpSchema.FormalParameter:
    """Describe an input; the last one may stand for several."""
    return schema.inputs[min(place, len(schema.inputs) - 1)]


def _shown(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
