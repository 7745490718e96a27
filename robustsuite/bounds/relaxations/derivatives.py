"""Derivatives of the elementwise functions, as relaxations: bounds of a Jacobian need their ranges and lines too.

Each is described by its own pieces. A derivative that jumps (where the function has a kink) is a `Jump`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from robustsuite.bounds.operations import no_derivative
from robustsuite.bounds.relaxations.convex import Convex
from robustsuite.bounds.relaxations.curve import Curve
from robustsuite.bounds.relaxations.patched import Patched
from robustsuite.bounds.relaxations.steps import Constant, Jump
from robustsuite.bounds.relaxations.unary import Relaxation

_SQRT2 = math.sqrt(2.0)
_POSITIVE = (0.0, torch.inf)
_TANH_SCALE, _TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


def _bell(
    name: str, function: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor], inflection: float
) -> Curve:
    """Give an even function that falls from its peak at 0, concave between +-inflection, convex outside."""
    return Curve(name, function, derivative, (-inflection, inflection), (1, -1, 1), (0.0,))


def _sigmoid(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (1 - s)


def _sigmoid_second(x: Tensor) -> Tensor:
    return _sigmoid(x) * (1 - 2 * x.sigmoid())


def _tanh(x: Tensor) -> Tensor:
    return 1 - x.tanh().square()


def _tanh_second(x: Tensor) -> Tensor:
    return -2 * x.tanh() * _tanh(x)


def _atan(x: Tensor) -> Tensor:
    return 1 / (1 + x * x)


def _erf(x: Tensor) -> Tensor:
    return (2 / math.sqrt(math.pi)) * (-x * x).exp()


def _density(x: Tensor) -> Tensor:
    return (-x * x / 2).exp() / math.sqrt(2 * math.pi)


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * (1 + (x / _SQRT2).erf()) + x * _density(x)


def _gelu_tanh(x: Tensor) -> Tensor:
    t = (_TANH_SCALE * (x + _TANH_CUBE * x**3)).tanh()
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _TANH_SCALE * (1 + 3 * _TANH_CUBE * x * x)


def _gelu_tanh_second(x: Tensor) -> Tensor:
    t = (_TANH_SCALE * (x + _TANH_CUBE * x**3)).tanh()
    rate, bend = _TANH_SCALE * (1 + 3 * _TANH_CUBE * x * x), 6 * _TANH_SCALE * _TANH_CUBE * x
    return (1 - t * t) * (rate + 0.5 * x * (bend - 2 * t * rate * rate))


def _silu(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (1 + x * (1 - s))


def _silu_second(x: Tensor) -> Tensor:
    return _sigmoid(x) * (2 + x * (1 - 2 * x.sigmoid()))


def _mish(x: Tensor) -> Tensor:
    t = torch.nn.functional.softplus(x).tanh()
    return t + x * x.sigmoid() * (1 - t * t)


def _mish_second(x: Tensor) -> Tensor:
    t, s = torch.nn.functional.softplus(x).tanh(), x.sigmoid()
    return (1 - t * t) * s * (2 + x * (1 - s) - 2 * x * t * s)


# Breaks and turns: roots of the third and second derivatives of the functions, in double precision.
OF_SIGMOID = _bell("derivative of sigmoid", _sigmoid, _sigmoid_second, math.log(2 + math.sqrt(3)))
OF_TANH = _bell("derivative of tanh", _tanh, _tanh_second, math.atanh(1 / math.sqrt(3)))
OF_ATAN = _bell("derivative of atan", _atan, lambda x: -2 * x * _atan(x).square(), 1 / math.sqrt(3))
OF_ERF = _bell("derivative of erf", _erf, lambda x: -2 * x * _erf(x), 1 / _SQRT2)
OF_GELU = Curve(
    "derivative of gelu",
    _gelu,
    lambda x: _density(x) * (2 - x * x),
    (-2.0, 0.0, 2.0),
    (-1, 1, -1, 1),
    (-_SQRT2, _SQRT2),
)
OF_GELU_TANH = Curve(
    "derivative of gelu (tanh)",
    _gelu_tanh,
    _gelu_tanh_second,
    (-2.0134807246242574, 0.0, 2.0134807246242574),
    (-1, 1, -1, 1),
    (-1.4185040087908283, 1.4185040087908283),
)
OF_SILU = Curve(
    "derivative of silu",
    _silu,
    _silu_second,
    (-3.435840993535111, 0.0, 3.435840993535111),
    (-1, 1, -1, 1),
    (-2.399357280515468, 2.399357280515468),
)
OF_MISH = Curve(
    "derivative of mish",
    _mish,
    _mish_second,
    (-3.2673378465204044, -0.08793443131491424, 2.114842563020877),
    (-1, 1, -1, 1),
    (-2.2563763963607935, 1.4905711794854282),
)
OF_EXP = Convex("exp", torch.exp, torch.exp, reach=0.99)
OF_LOG = Convex("derivative of log", torch.reciprocal, lambda x: -x.square().reciprocal(), domain=_POSITIVE)
OF_SQRT = Convex("derivative of sqrt", lambda x: 0.5 * x.rsqrt(), lambda x: -0.25 * x**-1.5, domain=_POSITIVE)
OF_RSQRT = Convex(
    "derivative of rsqrt", lambda x: -0.5 * x**-1.5, lambda x: 0.75 * x**-2.5, -1, domain=_POSITIVE
)
OF_TANGENT = Convex(
    "derivative of tan",
    lambda x: 1 + x.tan().square(),
    lambda x: 2 * x.tan() * (1 + x.tan().square()),
    least=0.0,
    domain=(-math.pi / 2, math.pi / 2),
)
_HARDSWISH = Curve(
    "derivative of hardswish", lambda x: (2 * x + 3) / 6, lambda x: torch.full_like(x, 1 / 3), (), (0,)
)
OF_HARDSWISH = Jump(3.0, Jump(-3.0, Constant(0.0), _HARDSWISH), Constant(1.0))


def logistic(rate: float) -> Curve:
    """Give sigmoid(rate x): the derivative of softplus with beta = rate, of log-sigmoid with rate -1."""
    return Curve(
        "derivative of softplus",
        lambda x: (rate * x).sigmoid(),
        lambda x: rate * _sigmoid(rate * x),
        (0.0,),
        (1, -1) if rate > 0 else (-1, 1),
    )


def softplus(beta: float, threshold: float) -> Relaxation:
    """Give the derivative of `functions.softplus`: that of its smooth part, and 1 beyond its threshold.

    Raises:
        UnsupportedOperator: the jump at the threshold is more than rounding in float32, so there is no derivative.
    """
    if threshold <= 0 or math.log1p(math.exp(-threshold)) > torch.finfo(torch.float32).eps * threshold:
        raise no_derivative(f"softplus with threshold {threshold:g}")
    smooth = logistic(beta)
    if threshold == math.inf:
        return smooth
    return Patched(
        lambda x: torch.where(beta * x > threshold, 1.0, smooth(x)),
        smooth,
        Constant(1.0),
        at=threshold / beta,
        side=1 if beta > 0 else -1,
        above=math.exp(-threshold),  # 1 - sigmoid(threshold) is less
    )


def elu(alpha: float, scale: float, input_scale: float) -> Jump:
    """Give the derivative of `functions.elu`."""
    factor = scale * alpha * input_scale
    left = Convex(
        "derivative of elu",
        lambda x: factor * (input_scale * x).exp(),
        lambda x: factor * input_scale * (input_scale * x).exp(),
        1 if factor > 0 else -1,
        overflows=input_scale < 0,
    )
    return Jump(0.0, left, Constant(scale))


def clip(low: float, high: float, slope: float = 1.0) -> Jump:
    """Give the derivative of a function that rises with `slope` between `low` and `high` and is flat outside."""
    return Jump(high, Jump(low, Constant(0.0), Constant(slope)), Constant(0.0))


def power(exponent: float) -> Relaxation:
    """Give exponent * x ** (exponent - 1), for an exponent > 0."""
    name, rest = "derivative of pow", exponent - 1

    def function(x: Tensor) -> Tensor:
        return exponent * x**rest

    def derivative(x: Tensor) -> Tensor:
        return exponent * rest * x ** (rest - 1)

    if rest == int(rest):
        if rest % 2 == 0:
            return Convex(name, function, derivative, least=0.0)
        return Curve(name, function, derivative, (0.0,), (-1, 1))
    if rest < 0:
        return Convex(name, function, derivative, domain=_POSITIVE)
    return Convex(name, function, derivative, -1 if rest < 1 else 1, domain=_POSITIVE, closed=True)
