"""Further elementwise functions: exponentials, logarithms, hyperbolic functions, rounding, remainders."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.relaxations import elementary, functions, steps
from robustsuite.bounds.relaxations.sinc import Sinc
from robustsuite.bounds.relaxations.unary import Relaxation, apply_unary
from robustsuite.bounds.rules.activation import absolute, leaky_relu, power
from robustsuite.bounds.rules.arithmetic import add, divide, multiply, scale, subtract
from robustsuite.bounds.rules.refusal import refuse
from robustsuite.bounds.rules.selection import clamp
from robustsuite.bounds.rules.shape import expand
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def _of(relaxation: Relaxation) -> Callable[[Program, Ref], Ref]:
    def rule(g: Program, x: Ref) -> Ref:
        return apply_unary(g, x, relaxation)

    return rule


def _exp2(g: Program, x: Ref) -> Ref:
    return apply_unary(g, scale(g, x, math.log(2)), functions.EXP)


def _logarithm(base: float) -> Callable[[Program, Ref], Ref]:
    def rule(g: Program, x: Ref) -> Ref:
        return scale(g, apply_unary(g, x, functions.LOG), 1 / math.log(base))

    return rule


def _erfc(g: Program, x: Ref) -> Ref:
    return subtract(g, 1.0, apply_unary(g, x, functions.Erf()))


def _acos(g: Program, x: Ref) -> Ref:
    return subtract(g, math.pi / 2, apply_unary(g, x, elementary.ASIN))


def _logit(g: Program, x: Ref, eps: float | None = None) -> Ref:
    if eps is not None:
        if not 0 <= eps <= 0.5:
            refuse(g, "eps", eps, "a number in [0, 0.5]")
        x = clamp(g, x, eps, 1 - eps)
    return apply_unary(g, x, elementary.LOGIT)


def _threshold(g: Program, x: Ref, threshold: float, value: float) -> Ref:
    return apply_unary(g, x, elementary.threshold(float(threshold), float(value)))


def _round_to(g: Program, x: Ref, *, decimals: int) -> Ref:
    if decimals == 0:
        return apply_unary(g, x, steps.ROUND)
    moved = scale(g, x, 10.0**decimals)
    return scale(g, apply_unary(g, moved, steps.ROUND_OF_ROUNDED), 10.0**-decimals)


def _random_relu(
    g: Program,
    x: Ref,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Ref, Tensor]:
    if training:
        refuse(g, "training", training, "False, as the slopes are random otherwise")
    return leaky_relu(g, x, (lower + upper) / 2), noise


def _fraction(g: Program, x: Ref) -> Ref:
    return apply_unary(g, x, steps.Sawtooth(1.0, floored=False))


def _remainder(floored: bool) -> Callable[[Program, Ref | Tensor, Ref | Tensor | float], Ref]:
    def rule(g: Program, x: Ref | Tensor, other: Ref | Tensor | float) -> Ref:
        if isinstance(other, Ref) or not isinstance(x, Ref):
            refuse(g, "other", other, "a constant divisor")
        divisor = torch.as_tensor(other, **constant_like(g))
        if bool((divisor == 0).any()):
            refuse(g, "other", other, "a divisor other than 0")
        wide = expand(g, x, torch.broadcast_shapes(x.shape, divisor.shape))
        return apply_unary(g, wide, steps.Sawtooth(divisor, floored=floored))

    return rule


def _divide(g: Program, x: Ref | Tensor, y: Ref | Tensor | float, *, rounding_mode: str | None) -> Ref:
    quotient = divide(g, x, y)
    if rounding_mode is None:
        return quotient
    stairs = {"floor": steps.FLOOR_OF_ROUNDED, "trunc": steps.TRUNC_OF_ROUNDED}
    if rounding_mode not in stairs:
        refuse(g, "rounding_mode", rounding_mode, "None, 'floor' or 'trunc'")
    return apply_unary(g, quotient, stairs[rounding_mode])


def _floor_divide(g: Program, x: Ref | Tensor, y: Ref | Tensor | float) -> Ref:
    return _divide(g, x, y, rounding_mode="floor")


def _is_zero(g: Program, x: Ref | Tensor, y: Ref | Tensor | float) -> Ref:
    """Give 1 where x = y, else 0."""
    return apply_unary(g, subtract(g, x, y), steps.IsZero())


def _is_not_zero(g: Program, x: Ref | Tensor, y: Ref | Tensor | float) -> Ref:
    return subtract(g, 1.0, _is_zero(g, x, y))


def _never(g: Program, x: Ref) -> Tensor:
    """Give what tells of infinities and NaN: bounds speak of finite numbers, and others are refused where they arise."""
    return torch.zeros(x.shape, dtype=torch.bool, device=constant_like(g)["device"])


def _finite(
    g: Program, x: Ref, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Ref:
    return x


def _power_of(g: Program, base: float, exponent: Ref) -> Ref:
    """Give base ** x for a base > 0."""
    if not 0 < base < torch.inf:
        refuse(g, "self", base, "a finite base above 0")
    return apply_unary(g, scale(g, exponent, math.log(base)), functions.EXP)


def _power_with(g: Program, x: Ref | Tensor, exponent: Ref | Tensor) -> Ref:
    """Give x ** y, entry by entry, for x > 0: exp(y log x); where y is the same constant everywhere, as for a number."""
    if isinstance(x, Tensor):
        if not bool((x > 0).all() & x.isfinite().all()):
            refuse(g, "self", x, "finite bases above 0 where the exponent is perturbed")
        assert isinstance(exponent, Ref)
        return apply_unary(g, scale(g, exponent, x.to(constant_like(g)["dtype"]).log()), functions.EXP)
    if isinstance(exponent, Tensor):
        values = exponent.unique()
        wide = expand(g, x, torch.broadcast_shapes(x.shape, exponent.shape))
        if len(values) == 1:
            return power(g, wide, float(values))
        # Each exponent in its own places; what stands elsewhere is made 1, where every power is finite.
        total: Ref | None = None
        for value in values.tolist():
            here = (exponent == value).to(constant_like(g)["dtype"])
            part = power(g, add(g, scale(g, wide, here), 1 - here), value)
            part = scale(g, part, here)
            total = part if total is None else add(g, total, part)
        assert total is not None
        return total
    return apply_unary(g, multiply(g, exponent, apply_unary(g, x, functions.LOG)), functions.EXP)


def _sign_from(g: Program, x: Ref, other: Ref | Tensor | float) -> Ref:
    if isinstance(other, Ref):
        refuse(g, "other", other, "constant signs")
    size = absolute(g, x)
    return scale(g, size, torch.copysign(torch.ones(()), torch.as_tensor(other)).to(**constant_like(g)))


TABLE: Table = {
    aten.expm1.default: _of(elementary.EXPM1),
    aten.log1p.default: _of(elementary.LOG1P),
    aten.exp2.default: _exp2,
    aten.log2.default: _logarithm(2.0),
    aten.log10.default: _logarithm(10.0),
    aten.cosh.default: _of(elementary.COSH),
    aten.sinh.default: _of(elementary.SINH),
    aten.asinh.default: _of(elementary.Asinh()),
    aten.acosh.default: _of(elementary.ACOSH),
    aten.atanh.default: _of(elementary.ATANH),
    aten.asin.default: _of(elementary.ASIN),
    aten.acos.default: _acos,
    aten.erfc.default: _erfc,
    aten.erfinv.default: _of(elementary.ERFINV),
    aten.sinc.default: _of(Sinc()),
    aten.logit.default: _logit,
    aten.special_entr.default: _of(elementary.ENTROPY),
    aten.threshold.default: _threshold,
    aten.rrelu_with_noise_functional.default: _random_relu,
    aten.ceil.default: _of(steps.CEIL),
    aten.trunc.default: _of(steps.TRUNC),
    aten.round.default: _of(steps.ROUND),
    aten.round.decimals: _round_to,
    aten.frac.default: _fraction,
    aten.remainder.Scalar: _remainder(True),
    aten.remainder.Tensor: _remainder(True),
    aten.fmod.Scalar: _remainder(False),
    aten.fmod.Tensor: _remainder(False),
    aten.div.Tensor_mode: _divide,
    aten.div.Scalar_mode: _divide,
    aten.floor_divide.default: _floor_divide,
    aten.eq.Scalar: _is_zero,
    aten.eq.Tensor: _is_zero,
    aten.ne.Scalar: _is_not_zero,
    aten.ne.Tensor: _is_not_zero,
    aten.isnan.default: _never,
    aten.isinf.default: _never,
    aten.nan_to_num.default: _finite,
    aten.copysign.Tensor: _sign_from,
    aten.pow.Scalar: _power_of,
    aten.pow.Tensor_Tensor: _power_with,
}
