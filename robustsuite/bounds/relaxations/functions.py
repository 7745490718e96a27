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
from robustsuite.bounds.relaxations.patched import Patched, Straight
from robustsuite.bounds.relaxations.s_shaped import SShaped
from robustsuite.bounds.relaxations.steps import Constant
from robustsuite.bounds.relaxations.unary import Relaxation
from robustsuite.errors import InvalidInput, UnsupportedOperator

_SQRT2 = math.sqrt(2.0)
_POSITIVE = (0.0, torch.inf)
_OVERFLOWS = 80.0  # exponents from which exp is infinite in float32, or soon will be


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
SQRT = Convex("sqrt", torch.sqrt, derivatives.OF_SQRT, -1, domain=_POSITIVE, closed=True)
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


def softplus(beta: float = 1.0, threshold: float = 20.0) -> Relaxation:
    """Give log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.

    It jumps there, by log(1 + exp(-threshold)) / beta; it is convex before where beta > 0, concave where beta < 0.

    Raises:
        UnsupportedOperator: beta is 0 or not finite, or the threshold is not a number.
    """
    if not beta or not math.isfinite(beta) or not math.isfinite(1 / beta) or math.isnan(threshold):
        raise UnsupportedOperator(
            f"softplus with beta {beta:g} and threshold {threshold:g} has no finite values; expected a beta other "
            "than 0, and numbers"
        )

    def smooth(x: Tensor) -> Tensor:
        if threshold > _OVERFLOWS:
            return functional.softplus(x, beta, threshold)  # infinite before it gets there
        return -functional.logsigmoid(-beta * x) / beta

    if threshold == -math.inf:
        return Straight()
    sign = 1 if beta > 0 else -1
    near = Convex("softplus", smooth, derivatives.logistic(beta), sign, overflows=threshold > _OVERFLOWS)
    if threshold == math.inf:
        return near
    # log(1 + exp(z)) - z = log(1 + exp(-z)), at most what it is at the threshold.
    most = max(-threshold, 0.0) + math.log1p(math.exp(-abs(threshold)))
    gap = most / abs(beta) * (1 + 1e-12)
    return Patched(
        lambda x: functional.softplus(x, beta, threshold),
        near,
        Straight(),
        at=threshold / beta,
        side=sign,
        below=gap if sign > 0 else 0.0,
        above=gap if sign < 0 else 0.0,
        derivative=lambda: derivatives.softplus(beta, threshold),
    )


def elu(alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Curve:
    """Give scale * x for x > 0, and scale * alpha * (exp(input_scale x) - 1) below (ELU; CELU with its scales).

    The part below is concave where scale * alpha < 0, and overflows where input_scale < 0.

    Raises:
        UnsupportedOperator: a factor is not finite.
    """
    if not all(map(math.isfinite, (alpha, scale, input_scale))):
        raise UnsupportedOperator(
            f"elu with factors {alpha:g}, {scale:g} and {input_scale:g} has no finite values; expected finite factors"
        )
    bend = 1 if scale * alpha > 0 else -1 if scale * alpha < 0 else 0

    def function(x: Tensor) -> Tensor:
        return torch.where(x > 0, scale * x, scale * alpha * (input_scale * x.clamp(max=0)).expm1())

    derivative = derivatives.elu(alpha, scale, input_scale)
    return Curve("elu", function, derivative, (0.0,), (bend, 0), overflows=input_scale < 0)


def clip(low: float, high: float) -> Relaxation:
    """Give x cut to [low, high] (hardtanh, relu6, clamp); `high` everywhere where low > high, as torch does.

    Raises:
        UnsupportedOperator: an end is not a number.
    """
    if math.isnan(low) or math.isnan(high):
        raise UnsupportedOperator(f"clamp to [{low:g}, {high:g}] gives no numbers; expected numbers as ends")
    if low >= high:
        return Constant(high)
    return Curve("clamp", lambda x: x.clamp(low, high), derivatives.clip(low, high), (low, high), (0, 0, 0))


def power(exponent: float) -> Relaxation:
    """Give x ** exponent for an exponent > 0; one that is not whole needs x >= 0.

    Raises:
        InvalidInput: the exponent is not positive, or not finite.
    """
    if not 0 < exponent < torch.inf:
        raise InvalidInput(f"exponent is {exponent}; expected a finite one > 0")

    def function(x: Tensor) -> Tensor:
        return x**exponent

    derivative = derivatives.power(exponent)
    if exponent == int(exponent):
        if exponent % 2 == 0:
            return Convex("pow", function, derivative, least=0.0, overflows=True)
        return Curve("pow", function, derivative, (0.0,), (-1, 1), overflows=True)
    sign = 1 if exponent > 1 else -1
    return Convex("pow", function, derivative, sign, domain=_POSITIVE, closed=True, overflows=exponent > 1)
