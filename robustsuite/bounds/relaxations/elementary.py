"""Elementary functions that activations are seldom made of: exponentials, logarithms, hyperbolic functions, inverses."""

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

_POSITIVE = (0.0, torch.inf)
_UNIT = (-1.0, 1.0)
_ROOT_PI = math.sqrt(math.pi)

EXPM1 = Convex("expm1", torch.expm1, derivatives.OF_EXP, reach=0.99, overflows=True)
LOG1P = Convex(
    "log1p",
    torch.log1p,
    Convex(
        "derivative of log1p",
        lambda x: (1 + x).reciprocal(),
        lambda x: -(1 + x).square().reciprocal(),
        domain=(-1.0, torch.inf),
    ),
    -1,
    domain=(-1.0, torch.inf),
)
COSH = Convex(
    "cosh",
    torch.cosh,
    Curve("derivative of cosh", torch.sinh, torch.cosh, (0.0,), (-1, 1), overflows=True),
    least=0.0,
    overflows=True,
)
SINH = Curve(
    "sinh",
    torch.sinh,
    Convex("derivative of sinh", torch.cosh, torch.sinh, least=0.0, overflows=True),
    (0.0,),
    (-1, 1),
    overflows=True,
)
ACOSH = Convex(
    "acosh",
    torch.acosh,
    Convex(
        "derivative of acosh",
        lambda x: ((x - 1) * (x + 1)).rsqrt(),
        lambda x: -x * ((x - 1) * (x + 1)) ** -1.5,
        domain=(1.0, torch.inf),
    ),
    -1,
    domain=(1.0, torch.inf),
    closed=True,
)
ATANH = Curve(
    "atanh",
    torch.atanh,
    Convex(
        "derivative of atanh",
        lambda x: ((1 - x) * (1 + x)).reciprocal(),
        lambda x: 2 * x * ((1 - x) * (1 + x)).square().reciprocal(),
        least=0.0,
        domain=_UNIT,
    ),
    (0.0,),
    (-1, 1),
    domain=_UNIT,
)
ASIN = Curve(
    "asin",
    torch.asin,
    Convex(
        "derivative of asin",
        lambda x: ((1 - x) * (1 + x)).rsqrt(),
        lambda x: x * ((1 - x) * (1 + x)) ** -1.5,
        least=0.0,
        domain=_UNIT,
    ),
    (0.0,),
    (-1, 1),
    domain=_UNIT,
    closed=True,
)


def _inverse_slope(x: Tensor) -> Tensor:
    return _ROOT_PI / 2 * x.erfinv().square().exp()


ERFINV = Curve(
    "erfinv",
    torch.erfinv,
    Convex(
        "derivative of erfinv",
        _inverse_slope,
        lambda x: 2 * x.erfinv() * _inverse_slope(x).square(),
        least=0.0,
        domain=_UNIT,
    ),
    (0.0,),
    (-1, 1),
    domain=_UNIT,
)
LOGIT = Curve(
    "logit",
    torch.logit,
    Convex(
        "derivative of logit",
        lambda x: (x * (1 - x)).reciprocal(),
        lambda x: (2 * x - 1) * (x * (1 - x)).square().reciprocal(),
        least=0.5,
        domain=(0.0, 1.0),
    ),
    (0.5,),
    (-1, 1),
    domain=(0.0, 1.0),
)
X_LOG_X = Convex(
    "x log x",
    lambda x: torch.xlogy(x, x),
    Convex("derivative of x log x", lambda x: 1 + x.log(), lambda x: x.reciprocal(), -1, domain=_POSITIVE),
    least=math.exp(-1),
    domain=_POSITIVE,
    closed=True,
)
ENTROPY = Convex(
    "entropy",
    torch.special.entr,
    Convex("derivative of entropy", lambda x: -1 - x.log(), lambda x: -x.reciprocal(), domain=_POSITIVE),
    -1,
    least=math.exp(-1),
    domain=_POSITIVE,
    closed=True,
)


class Asinh(SShaped):
    """The inverse hyperbolic sine."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.asinh()

    def derivative(self, x: Tensor) -> Tensor:
        return (1 + x * x).rsqrt()

    def second_derivative(self, x: Tensor) -> Tensor:
        return -x * (1 + x * x) ** -1.5

    def differentiate(self) -> Relaxation:
        return _OF_ASINH


_OF_ASINH = Curve(
    "derivative of asinh",
    lambda x: (1 + x * x).rsqrt(),
    lambda x: -x * (1 + x * x) ** -1.5,
    (-math.sqrt(0.5), math.sqrt(0.5)),
    (1, -1, 1),
    (0.0,),
)


def threshold(at: float, value: float) -> Relaxation:
    """Give x where x > at, else `value`."""
    return Curve(
        "threshold",
        lambda x: functional.threshold(x, at, value),
        torch.ones_like,
        (at,),
        (0, 0),
        limits=((value, at),),
    )
