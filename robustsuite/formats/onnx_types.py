"""Element types of ONNX files as torch has them: those of other types are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor

from robustsuite.errors import InvalidInput, UnsupportedOperator

Static = np.ndarray[Any, Any]

DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT16: torch.int16,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.uint8,
    TensorProto.BOOL: torch.bool,
}
"""Those that a tensor may have that depends on the network's input."""

FLOATS = frozenset({torch.float32, torch.float64})
BOOLS = frozenset({torch.bool})
ANY = frozenset(DTYPES.values())


def type_name(number: int) -> str:
    """Give the name of an element type: 'FLOAT'."""
    return str(TensorProto.DataType.Name(number)) if number in TensorProto.DataType.values() else str(number)


def dtype_of(number: int, what: str) -> torch.dtype:
    """Give the torch dtype of an element type.

    Args:
        number: of the type in ONNX.
        what: has it, for the message.

    Raises:
        UnsupportedOperator: torch has no such type, or not with all that the operators do.
    """
    if number not in DTYPES:
        names = ", ".join(type_name(known) for known in DTYPES)
        raise UnsupportedOperator(
            f"{what} is {type_name(number)}; expected one of {names}; export the network in FLOAT"
        )
    return DTYPES[number]


def array_of(tensor: TensorProto, name: str) -> Static:
    """Give a tensor of a file as an array.

    Raises:
        InvalidInput: it is damaged, or its data lies in a file that was not read.
    """
    if tensor.data_location == TensorProto.EXTERNAL:
        raise InvalidInput(
            f"the data of the tensor '{name}' lies in another file; that file must lie beside the network, and the "
            "network must not be gzipped"
        )
    try:
        return numpy_helper.to_array(tensor)
    except Exception as error:  # of numpy, of protocol buffers, of onnx
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InvalidInput(f"the tensor '{name}' is damaged: {line}; export the network again") from error


def tensor_of(value: Static, name: str) -> Tensor:
    """Give a constant as a tensor.

    Raises:
        UnsupportedOperator: torch has no such type.
    """
    try:
        tensor = torch.from_numpy(np.array(value))
    except TypeError:
        tensor = None
    if tensor is None or tensor.dtype not in ANY:
        raise UnsupportedOperator(
            f"the tensor '{name}' holds {value.dtype}; expected floats, signed integers, uint8 or bool; export the "
            "network in float32"
        )
    return tensor
