"""Elementwise nonlinearities."""

from __future__ import annotations

import torch

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations.relu import ReLU
from robustsuite.bounds.relaxations.s_shaped import Sigmoid, Tanh
from robustsuite.bounds.relaxations.unary import apply_unary
from robustsuite.bounds.rules.table import Table

aten = torch.ops.aten


def _leaky_relu(g: Program, x: Ref, slope: float = 0.01) -> Ref:
    return apply_unary(g, x, ReLU(slope))


TABLE: Table = {
    aten.relu.default: lambda g, x: apply_unary(g, x, ReLU()),
    aten.leaky_relu.default: _leaky_relu,
    aten.tanh.default: lambda g, x: apply_unary(g, x, Tanh()),
    aten.sigmoid.default: lambda g, x: apply_unary(g, x, Sigmoid()),
}
