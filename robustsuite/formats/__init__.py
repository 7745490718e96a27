"""Files of other tools: ONNX networks, VNN-LIB properties and lists of verification instances.

>>> from robustsuite import formats
>>> unsafe = formats.parse_vnnlib("(declare-const X_0 Real) (declare-const Y_0 Real)"
...                               "(assert (>= X_0 0)) (assert (<= X_0 1)) (assert (<= Y_0 0))")
>>> unsafe.inputs, unsafe.outputs, len(unsafe.cases)
(1, 1, 1)
"""

from robustsuite.formats.instances import Instance, read_instances
from robustsuite.formats.onnx import OnnxNetwork, load_onnx
from robustsuite.formats.unsafe_set import Case, Inequality, InputBox, UnsafeSet
from robustsuite.formats.vnnlib import load_vnnlib, parse_vnnlib

__all__ = [
    "Case",
    "Inequality",
    "InputBox",
    "Instance",
    "OnnxNetwork",
    "UnsafeSet",
    "load_onnx",
    "load_vnnlib",
    "parse_vnnlib",
    "read_instances",
]
