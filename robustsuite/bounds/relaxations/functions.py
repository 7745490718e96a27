"""The elementwise functions of torch, each described by its pieces.

A new function is one entry here and one in `robustsuite.bounds.rules.activation`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.relaxations import derivatives
from robustsuite.bounds.relaxations.convex import Convex
from robustsuite.bounds.relaxations.curve import Curve
from robustsuite.bounds.relaxations.s_shaped import SShaped
from robustsuite.bounds.relaxations.unary import Relaxation
from robustsuite.errors import InvalidInput

_SQRT2 = math.sqrt(2.0)
_FROM_ZERO = (-1e-45, torch.inf)  # 0 belongs to the domain; the number is the least that is not 0 in float32


class Atan(SShaped):
    """The inverse tangent."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.atan()

    def derivative(self, x: Tensor) -> Tensor:
        return 1 / (1 + x * x)

    def second_derivative(self, x: Tensor) -> Tensor:
        return -2 * x / (1 + x * x).square()

    def differentiate(self) -> Relaxation:
        return derivatives.OF_ATAN


class Erf(SShaped):
    """The error function."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.erf()

    def derivative(self, x: Tensor) -> Tensor:
        return (2 / math.sqrt(math.pi)) * (-x * x).exp()

    def second_derivative(self, x: Tensor) -> Tensor:
        return -2 * x * self.derivative(x)

    def differentiate(self) -> Relaxation:
        return derivatives.OF_ERF


# Inflection points and minima: roots of the second and first derivatives, in double precision.
GELU = Curve(
    "gelu", functional.gelu, derivatives.OF_GELU, (-_SQRT2, _SQRT2), (-1, 1, -1), (-0.7517915246935645,)
)
GELU_TANH = Curve(
    "gelu (tanh)",
    lambda x: functional.gelu(x, approximate="tanh"),
    derivatives.OF_GELU_TANH,
    (-1.41850400879082836, 1.41850400879082836),
    (-1, 1, -1),
    (-0.752461422071016258,),
)
SILU = Curve(
    "silu",
    functional.silu,
    derivatives.OF_SILU,
    (-2.3993572805154676, 2.3993572805154676),
    (-1, 1, -1),
    (-1.2784645427610738,),
)
MISH = Curve(
    "mish",
    functional.mish,
    derivatives.OF_MISH,
    (-2.25637639636079312, 1.49057117948542846),
    (-1, 1, -1),
    (-1.19243121451549521,),
)

# With this reach the tangent stays positive on [l, u].
EXP = Convex("exp", torch.exp, derivatives.OF_EXP, reach=0.99, overflows=True)
LOG = Convex("log", torch.log, derivatives.OF_LOG, -1, domain=(0.0, torch.inf))
SQRT = Convex("sqrt", torch.sqrt, derivatives.OF_SQRT, -1, domain=_FROM_ZERO)
RSQRT = Convex("rsqrt", torch.rsqrt, derivatives.OF_RSQRT, domain=(0.0, torch.inf))
LOG_SIGMOID = Convex("logsigmoid", functional.logsigmoid, derivatives.logistic(-1.0), -1)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
SELU = Curve(
    "selu",
    functional.selu,
    derivatives.elu(SELU_ALPHA, SELU_SCALE, 1.0),
    (0.0,),
    (1, 0),
)
HARDSWISH = Curve(
    "hardswish",
    functional.hardswish,
    derivatives.OF_HARDSWISH,
    (-3.0, 3.0),
    (0, 1, 0),
    (-1.5,),
)
HARDSIGMOID = Curve(
    "hardsigmoid", functional.hardsigmoid, derivatives.clip(-3.0, 3.0, 1 / 6), (-3.0, 3.0), (0, 0, 0)
)


def softplus(beta: float = 1.0, threshold: float = 20.0) -> Convex:
    """Give log(1 + exp(beta x)) / beta."""
    return Convex("softplus", lambda x: functional.softplus(x, beta, threshold), derivatives.logistic(beta))


def elu(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Curve:
    """Give scale * x for x > 0, and scale * alpha * (exp(input_scale x) - 1) below (ELU; CELU with its scales)."""

    def function(x: Tensor) -> Tensor:
        return torch.where(x > 0, scale * x, scale * alpha * (input_scale * x.clamp(max=0)).expm1())

    return Curve("elu", function, derivatives.elu(alpha, scale, input_scale), (0.0,), (1, 0))


def clip(low: float, high: float) -> Curve:
    """Give x cut to [low, high] (hardtanh, relu6, clamp)."""
    return Curve("clamp", lambda x: x.clamp(low, high), derivatives.clip(low, high), (low, high), (0, 0, 0))


def power(exponent: float) -> Relaxation:
    """Give x ** exponent for an exponent > 0; one that is not whole needs x >= 0.

    Raises:
        InvalidInput: the exponent is not positive.
    """
    if exponent <= 0:
        raise InvalidInput(f"exponent is {exponent}; expected > 0")

    def function(x: Tensor) -> Tensor:
        return x**exponent

    derivative = derivatives.power(exponent)
    if exponent == int(exponent):
        if exponent % 2 == 0:
            return Convex("pow", function, derivative, least=0.0)
        return Curve("pow", function, derivative, (0.0,), (-1, 1))
    sign = 1 if exponent > 1 else -1
    return Convex("pow", function, derivative, sign, domain=_FROM_ZERO)
