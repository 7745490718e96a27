"""Elementwise nonlinearities of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import functions
from robustsuite.bounds.relaxations.periodic import TANGENT, Sine
from robustsuite.bounds.relaxations.power import Square
from robustsuite.bounds.relaxations.relu import ReLU
from robustsuite.bounds.relaxations.s_shaped import Sigmoid, Tanh
from robustsuite.bounds.relaxations.steps import FLOOR, Flat
from robustsuite.bounds.relaxations.unary import Relaxation, apply_unary
from robustsuite.bounds.rules.arithmetic import add, multiply, reciprocal, scale, subtract
from robustsuite.bounds.rules.shape import reshape
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def of(relaxation: Relaxation) -> Callable[..., Ref]:
    """Make the rule of a function without options."""
    return lambda g, x: apply_unary(g, x, relaxation)


def relu(g: Program, x: Ref) -> Ref:
    """Give max(x, 0)."""
    return apply_unary(g, x, ReLU())


def leaky_relu(g: Program, x: Ref, slope: float = 0.01) -> Ref:
    """Give x where it is positive, else slope x."""
    return apply_unary(g, x, ReLU(slope)) if 0 <= slope < 1 else _prelu(g, x, slope)


def _prelu(g: Program, x: Ref, slope: Ref | Tensor | float) -> Ref:
    """Give slope x + (1 - slope) relu(x), for a slope of any sign and size, per channel or one for all."""
    if isinstance(slope, Ref):
        column = reshape(g, slope, (-1, *(1,) * (len(x.shape) - 2)))
        return subtract(g, relu(g, x), multiply(g, column, relu(g, scale(g, x, -1.0))))
    slope = torch.as_tensor(slope, **constant_like(g))
    if slope.dim() == 1 and len(slope) > 1:
        slope = slope.view(-1, *(1,) * (len(x.shape) - 2))
    elif slope.dim() == 1:
        slope = slope.squeeze(0)

    def exact(inputs: Any) -> Bounds:
        ends = [torch.where(end > 0, end, slope * end) for end in (inputs[0].lower, inputs[0].upper)]
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        across = (inputs[0].lower < 0) & (inputs[0].upper > 0)
        return Bounds(
            torch.where(across, low.clamp(max=0), low), torch.where(across, high.clamp(min=0), high)
        )

    bent = scale(g, relu(g, x), 1 - slope)
    return add(g, bent, scale(g, x, slope), refine=exact, refine_from=[x])


def absolute(g: Program, x: Ref) -> Ref:
    """Give |x| = 2 relu(x) - x: the ReLU's free choice serves for it."""

    def exact(inputs: Any) -> Bounds:
        low, high = inputs[0].lower, inputs[0].upper
        ends = low.abs(), high.abs()
        least = torch.where((low < 0) & (high > 0), 0.0, torch.minimum(*ends))
        return Bounds(least, torch.maximum(*ends))

    doubled = scale(g, relu(g, x), 2.0)
    return add(g, doubled, scale(g, x, -1.0), refine=exact, refine_from=[x])


def _gelu(g: Program, x: Ref, approximate: str = "none") -> Ref:
    return apply_unary(g, x, functions.GELU if approximate == "none" else functions.GELU_TANH)


def _softplus(g: Program, x: Ref, beta: float = 1.0, threshold: float = 20.0) -> Ref:
    return apply_unary(g, x, functions.softplus(beta, threshold))


def _elu(g: Program, x: Ref, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Ref:
    return apply_unary(g, x, functions.elu(alpha, scale, input_scale))


def _celu(g: Program, x: Ref, alpha: float = 1.0) -> Ref:
    return apply_unary(g, x, functions.elu(alpha, 1.0, 1.0 / alpha))


def _hardtanh(g: Program, x: Ref, low: float = -1.0, high: float = 1.0) -> Ref:
    return apply_unary(g, x, functions.clip(low, high))


def power(g: Program, x: Ref, exponent: float) -> Ref:
    """Give x ** exponent."""
    if exponent == 1:
        return x
    if exponent == 2:
        return apply_unary(g, x, Square())
    if exponent == 0:
        return add(g, scale(g, x, 0.0), 1.0)
    if exponent < 0:
        return reciprocal(g, power(g, x, -exponent))
    return apply_unary(g, x, functions.SQRT if exponent == 0.5 else functions.power(exponent))


def _flat(function: Callable[[Tensor], Tensor]) -> Callable[..., Ref]:
    return of(Flat(function))


def _greater(g: Program, x: Any, y: Any, *, strict: bool, sign: float) -> Ref:
    """Give 1 where sign * (x - y) is above 0 (or equal, if not strict), else 0."""
    if not isinstance(x, Ref):
        x, y, sign = y, x, -sign
    difference = add(g, x, y, -1) if sign > 0 else add(g, scale(g, x, -1.0), y)
    if strict:
        return apply_unary(g, difference, Flat(lambda t: (t > 0).to(t.dtype)))
    return apply_unary(g, difference, Flat(lambda t: (t >= 0).to(t.dtype)))


def _comparison(*, strict: bool, sign: float) -> Callable[..., Ref]:
    return lambda g, x, y: _greater(g, x, y, strict=strict, sign=sign)


TABLE: Table = {
    aten.relu.default: relu,
    aten.leaky_relu.default: leaky_relu,
    aten.prelu.default: _prelu,
    aten._prelu_kernel.default: lambda g, x, w: _prelu(g, x, reshape(g, w, (-1,))),
    aten.abs.default: absolute,
    aten.tanh.default: of(Tanh()),
    aten.sigmoid.default: of(Sigmoid()),
    aten.atan.default: of(functions.Atan()),
    aten.erf.default: of(functions.Erf()),
    aten.gelu.default: _gelu,
    aten.silu.default: of(functions.SILU),
    aten.mish.default: of(functions.MISH),
    aten.softplus.default: _softplus,
    aten.elu.default: _elu,
    aten.celu.default: _celu,
    aten.selu.default: of(functions.SELU),
    aten.hardswish.default: of(functions.HARDSWISH),
    aten.hardsigmoid.default: of(functions.HARDSIGMOID),
    aten.hardtanh.default: _hardtanh,
    aten.relu6.default: lambda g, x: _hardtanh(g, x, 0.0, 6.0),
    aten.log_sigmoid.default: of(functions.LOG_SIGMOID),
    aten.log_sigmoid_forward.default: lambda g, x: (apply_unary(g, x, functions.LOG_SIGMOID), None),
    aten.exp.default: of(functions.EXP),
    aten.log.default: of(functions.LOG),
    aten.sqrt.default: of(functions.SQRT),
    aten.rsqrt.default: of(functions.RSQRT),
    aten.pow.Tensor_Scalar: power,
    aten.sin.default: of(Sine()),
    aten.cos.default: of(Sine(math.pi / 2)),
    aten.tan.default: of(TANGENT),
    aten.sign.default: _flat(torch.sign),
    aten.floor.default: of(FLOOR),
    aten.gt.Scalar: _comparison(strict=True, sign=1),
    aten.gt.Tensor: _comparison(strict=True, sign=1),
    aten.ge.Scalar: _comparison(strict=False, sign=1),
    aten.ge.Tensor: _comparison(strict=False, sign=1),
    aten.lt.Scalar: _comparison(strict=True, sign=-1),
    aten.lt.Tensor: _comparison(strict=True, sign=-1),
    aten.le.Scalar: _comparison(strict=False, sign=-1),
    aten.le.Tensor: _comparison(strict=False, sign=-1),
}
