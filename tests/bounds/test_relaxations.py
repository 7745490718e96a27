"""Lines below and above each function of one variable, on a grid of intervals and of free choices."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from robustsuite.bounds import Bounds, relaxations
from robustsuite.bounds.forms.linear_form import Dense
from robustsuite.bounds.operations import Thetas
from robustsuite.bounds.relaxations import derivatives, elementary, functions, steps
from robustsuite.bounds.relaxations.casts import Rounded
from robustsuite.bounds.relaxations.maximum import Maximum
from robustsuite.bounds.relaxations.patched import Straight
from robustsuite.bounds.relaxations.periodic import TANGENT, Sine
from robustsuite.bounds.relaxations.power import Reciprocal, Square
from robustsuite.bounds.relaxations.product import MatrixProduct, Product
from robustsuite.bounds.relaxations.relu import ReLU
from robustsuite.bounds.relaxations.s_shaped import Sigmoid, SShaped, Tanh
from robustsuite.bounds.relaxations.sinc import Sinc
from robustsuite.bounds.relaxations.steps import Constant, Flat, IsZero, Sawtooth
from robustsuite.bounds.relaxations.unary import Relaxation, Unary
from robustsuite.errors import UnsupportedOperator

_ENDS = (
    -30.0,
    -6.0,
    -3.0,
    -2.0,
    -1.0,
    -0.5,
    -0.1,
    -1e-3,
    -1e-6,
    0.0,
    1e-6,
    1e-3,
    0.1,
    0.7,
    1.0,
    2.5,
    6.0,
    30.0,
)
_FAR_ENDS = (*_ENDS, -1e10, -1e6, -2e4, -9e3, 9e3, 2e4, 1e6, 1e10)
_POSITIVE = (1e-3, 0.01, 0.1, 0.5, 0.51, 1.0, 2.0, 10.0, 1000.0)
_IN_UNIT = (-0.999, -0.9, -0.5, -1e-3, 0.0, 1e-6, 0.3, 0.8, 0.99)

RELAXATIONS: dict[str, tuple[Relaxation, tuple[float, ...]]] = {
    "relu": (ReLU(), (*_ENDS, -1e6, 1e6, 1e-12, -1e-12)),
    "half": (Rounded(torch.float16), (*_ENDS, -65500.0, 65500.0, 1e-6, -1e-8, 2049.0, 2051.0)),
    "bfloat16": (Rounded(torch.bfloat16), (*_ENDS, -1e6, 1e6, 257.0, 1e-12)),
    "leaky relu": (ReLU(0.1), (*_ENDS, -1e6, 1e6)),
    "tanh": (Tanh(), _FAR_ENDS),
    "sigmoid": (Sigmoid(), _FAR_ENDS),
    "atan": (functions.Atan(), _FAR_ENDS),
    "erf": (functions.Erf(), _FAR_ENDS),
    "square": (Square(), _ENDS),
    "reciprocal": (Reciprocal(), _POSITIVE),
    "reciprocal of negatives": (Reciprocal(), tuple(-v for v in _POSITIVE)),
    "exp": (functions.EXP, tuple(v for v in _ENDS if v <= 6)),
    "log": (functions.LOG, _POSITIVE),
    "sqrt": (functions.SQRT, (0.0, *_POSITIVE)),
    "rsqrt": (functions.RSQRT, _POSITIVE),
    "log_sigmoid": (functions.LOG_SIGMOID, _ENDS),
    "softplus": (functions.softplus(2.0, 700.0), _ENDS),
    "gelu": (functions.GELU, _ENDS),
    "gelu tanh": (functions.GELU_TANH, _ENDS),
    "silu": (functions.SILU, _ENDS),
    "mish": (functions.MISH, _ENDS),
    "elu": (functions.elu(1.5), _ENDS),
    "selu": (functions.SELU, _ENDS),
    "hardswish": (functions.HARDSWISH, _ENDS),
    "hardsigmoid": (functions.HARDSIGMOID, _ENDS),
    "clip": (functions.clip(-0.3, 0.6), _ENDS),
    "cube": (functions.power(3), tuple(v for v in _ENDS if abs(v) <= 6)),
    "fourth power": (functions.power(4), tuple(v for v in _ENDS if abs(v) <= 6)),
    "power 1.5": (functions.power(1.5), (0.0, *_POSITIVE)),
    "power 0.3": (functions.power(0.3), (0.0, *_POSITIVE)),
    "sin": (Sine(), (*_ENDS, -math.pi, math.pi / 2, 4.0, 20.0)),
    "cos": (Sine(math.pi / 2), (*_ENDS, -math.pi, math.pi / 2, 4.0, 20.0)),
    "tan": (TANGENT, (-1.5, -1.0, -0.2, 0.0, 0.3, 1.2, 1.55)),
    "sign": (Flat(torch.sign), _ENDS),
    **{
        name: (stairs, (*_ENDS, 0.2, 0.5, 0.9, 1.5, -2.5))
        for name, stairs in (
            ("floor", steps.FLOOR),
            ("ceil", steps.CEIL),
            ("round", steps.ROUND),
            ("trunc", steps.TRUNC),
            ("floor of a quotient", steps.FLOOR_OF_ROUNDED),
            ("trunc of a quotient", steps.TRUNC_OF_ROUNDED),
            ("round of a product", steps.ROUND_OF_ROUNDED),
        )
    },
    "is zero": (IsZero(), _ENDS),
    "expm1": (elementary.EXPM1, tuple(v for v in _ENDS if v <= 6)),
    "log1p": (elementary.LOG1P, tuple(v - 1 for v in _POSITIVE)),
    "cosh": (elementary.COSH, tuple(v for v in _ENDS if abs(v) <= 6)),
    "sinh": (elementary.SINH, tuple(v for v in _ENDS if abs(v) <= 6)),
    "asinh": (elementary.Asinh(), _FAR_ENDS),
    "acosh": (elementary.ACOSH, tuple(v + 1 for v in (0.0, *_POSITIVE))),
    "atanh": (elementary.ATANH, _IN_UNIT),
    "asin": (elementary.ASIN, (-1.0, *_IN_UNIT, 1.0)),
    "erfinv": (elementary.ERFINV, _IN_UNIT),
    "logit": (elementary.LOGIT, tuple((v + 1) / 2 for v in _IN_UNIT)),
    "x log x": (elementary.X_LOG_X, (0.0, *_POSITIVE)),
    "entropy": (elementary.ENTROPY, (0.0, *_POSITIVE)),
    "sinc": (Sinc(), (*_ENDS, -4.6, -4.4, -1.43, 1.43, 2.46, 4.4, 4.6, 1e6)),
    "constant": (Constant(1.5), _ENDS),
    "straight": (Straight(-2.0), _ENDS),
}


def _around(*points: float) -> tuple[float, ...]:
    """Give ends at, near and far from some points."""
    near = [p + d for p in points for d in (-1.0, -1e-3, 0.0, 1e-3, 1.0) if math.isfinite(p)]
    return tuple(sorted({*_ENDS, *near}))


_SMALL_ENDS = tuple(v for v in _ENDS if abs(v) <= 6)
_Table = Sequence[tuple[tuple[float, ...], tuple[float, ...]]]
PARAMETERS: dict[str, tuple[Callable[..., Relaxation], _Table]] = {
    "softplus": (
        functions.softplus,
        [
            ((beta, threshold), _around(threshold / beta))
            for beta, threshold in (
                (1.0, 20.0),
                (1.0, 1.0),
                (2.0, 1.0),
                (-1.0, 20.0),
                (-1.0, 1.0),
                (-3.0, 0.5),
                (1.0, 0.0),
                (-1.0, 0.0),
                (0.5, -2.0),
                (-0.5, -2.0),
                (10.0, 5.0),
                (0.01, 20.0),
                (1.0, math.inf),
                (1.0, -math.inf),
            )
        ],
    ),
    "elu": (
        functions.elu,
        [
            (factors, _SMALL_ENDS)
            for factors in (
                (-1.5, 1.0, 1.0),
                (0.5, 1.0, 2.0),  # celu(0.5)
                (-0.5, 1.0, -2.0),  # celu(-0.5)
                (1.5, -1.0, 1.0),
                (1.5, 1.0, -1.0),
                (0.0, 1.0, 1.0),
                (1.0, 0.0, 1.0),
                (1.0, 1.0, 0.0),
                (100.0, 1.0, 0.01),
            )
        ],
    ),
    "clip": (
        functions.clip,
        [
            (ends, _around(*ends))
            for ends in ((-0.3, 0.6), (0.6, -0.3), (0.5, 0.5), (-math.inf, 0.5), (0.5, math.inf), (2.0, 3.0))
        ],
    ),
    "power": (
        functions.power,
        [((e,), _SMALL_ENDS) for e in (3.0, 4.0, 5.0, 6.0, 9.0)]
        + [((e,), (0.0, 1e-30, *_POSITIVE[:-1])) for e in (0.1, 0.5, 0.9, 1.1, 1.5, 2.5, 3.7)],
    ),
}
PARAMETERS |= {
    "threshold": (
        elementary.threshold,
        [(p, _around(p[0])) for p in ((0.1, -2.0), (0.0, 0.0), (-1.0, 5.0), (2.0, 2.0), (0.5, 0.6))],
    ),
    "remainder": (
        lambda divisor: Sawtooth(divisor, floored=True),
        [((d,), _around(d, 2 * d, -3 * d)) for d in (0.7, -0.7, 1.0, 100.0)],
    ),
    "fmod": (
        lambda divisor: Sawtooth(divisor, floored=False),
        [((d,), _around(d, 2 * d, -3 * d)) for d in (0.7, -0.7, 1.0, 100.0)],
    ),
}
for _name, (_make, _table) in PARAMETERS.items():
    for _values, _ends in _table:
        RELAXATIONS[f"{_name} {_values}"] = (_make(*_values), _ends)


def _derivative(relaxation: Relaxation) -> Relaxation | None:
    try:
        return relaxation.differentiate()
    except UnsupportedOperator:
        return None


for _name, (_relaxation, _ends) in list(RELAXATIONS.items()):
    _slope = _derivative(_relaxation)
    if _slope is not None:
        # Where a function may be vertical, its derivative has no value.
        _inside = tuple(e for e in _ends if e >= 1e-3) if min(_ends) >= 0 else _ends
        _inside = tuple(e for e in _inside if bool(_slope(torch.tensor([e])).isfinite()))
        RELAXATIONS[f"derivative of {_name}"] = (_slope, _inside)
CHOICES = [None, 0.0, 0.3, 1.0]


def _intervals(ends: tuple[float, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    pairs = [(low, high) for low in ends for high in ends if low <= high]
    l, u = torch.tensor(pairs, dtype=dtype).unbind(1)
    return l, u


def _points(l: Tensor, u: Tensor) -> Tensor:
    """Give many points of each interval, among them its ends and (where inside) all other ends, and what lies next to them."""
    grid = torch.linspace(0, 1, 401, dtype=torch.float64).unsqueeze(1)
    wide = l.double() + grid * (u - l).double()
    special = torch.cat([l, u, torch.tensor([0.0, -0.3, 0.6, -3.0, 3.0])]).double().unique()
    special = torch.cat([special, special.nextafter(special + 1), special.nextafter(special - 1)])
    return torch.cat([wide, special.unsqueeze(1).expand(-1, len(l)), u.double().unsqueeze(0)]).clamp(
        l.double(), u.double()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", RELAXATIONS)
def test_lines_hold(name: str, dtype: torch.dtype) -> None:
    """What the lines say is compared in double precision with the function at many points."""
    relaxation, ends = RELAXATIONS[name]
    l, u = _intervals(ends, dtype)
    x = _points(l, u)
    y = relaxation(x)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-11
    for choice in CHOICES:
        theta = None if choice is None else torch.full_like(l, choice)
        lines = relaxation.lines(l, u, theta, theta)
        intercept = torch.zeros_like(l) if lines.lower_intercept is None else lines.lower_intercept
        below = lines.lower_slope.double() * x + intercept.double()
        above = lines.upper_slope.double() * x + lines.upper_intercept.double()
        for line, gap in ((below, below - y), (above, y - above)):
            assert bool(line.isfinite().all()), f"not finite with choice {choice}"
            # Rounding of slope and intercept: relative to the terms of the line, and to the function.
            size = 1 + y.abs().amax(0)
            for slope in (lines.lower_slope, lines.upper_slope):
                size = torch.maximum(size, slope.double().abs() * torch.maximum(l.abs(), u.abs()).double())
            worst = int((gap.amax(0) / size).argmax())
            assert bool((gap <= tolerance * size).all()), (
                f"broken on [{float(l[worst])}, {float(u[worst])}] by {float(gap[:, worst].max()):.3g} "
                f"with choice {choice}"
            )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", RELAXATIONS)
def test_lines_hold_on_tiny_intervals(name: str, dtype: torch.dtype) -> None:
    """From one unit in the last place on, subnormal numbers among them, at every end and on both sides of it."""
    relaxation, ends = RELAXATIONS[name]
    units = torch.tensor([1.0, 3.0, 50.0, 1e3, 1e5], dtype=dtype) * torch.finfo(dtype).eps
    tiny = torch.tensor([1e-45, 1e-40, 1e-30, 1e-9], dtype=dtype)
    at = torch.tensor(ends, dtype=dtype).unsqueeze(1)
    widths = torch.cat([units * at.abs().clamp(min=1e-30), tiny.expand(len(at), -1)], 1)
    l, u = torch.cat([at.expand_as(widths), at - widths]), torch.cat([at + widths, at.expand_as(widths)])
    l, u = l.flatten(), u.flatten()
    inside = relaxation(l).isfinite() & relaxation(u).isfinite() & (l >= min(ends)) & (u <= max(ends))
    l, u = l[inside], u[inside]
    x = l.double() + torch.linspace(0, 1, 11, dtype=torch.float64).unsqueeze(1) * (u - l).double()
    y = relaxation(x)
    low, high = relaxation.interval(l, u)
    size = 1 + y.abs().amax(0)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-11
    assert bool(((low.double() <= y + tolerance * size) & (high.double() >= y - tolerance * size)).all())
    for choice in CHOICES:
        theta = None if choice is None else torch.full_like(l, choice)
        lines = relaxation.lines(l, u, theta, theta)
        intercept = torch.zeros_like(l) if lines.lower_intercept is None else lines.lower_intercept
        below = lines.lower_slope.double() * x + intercept.double()
        above = lines.upper_slope.double() * x + lines.upper_intercept.double()
        reach = torch.maximum(lines.lower_slope.abs(), lines.upper_slope.abs()) * torch.maximum(
            l.abs(), u.abs()
        )
        slack = tolerance * torch.maximum(size, reach.double())
        assert bool(((below <= y + slack) & (above >= y - slack)).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", RELAXATIONS)
def test_intervals_are_tight(name: str, dtype: torch.dtype) -> None:
    relaxation, ends = RELAXATIONS[name]
    l, u = _intervals(ends, dtype)
    y = relaxation(_points(l, u))
    low, high = relaxation.interval(l, u)
    size = 1 + y.abs().amax(0)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    assert bool((low.double() <= y.amin(0) + tolerance * size).all())
    assert bool((high.double() >= y.amax(0) - tolerance * size).all())
    # A jump right beside an end counts as inside.
    beside = [
        relaxation(end.double() + s * 1e-5 * (1 + end.double().abs())) for end in (l, u) for s in (-1, 1)
    ]
    y = torch.cat([y, torch.where(torch.stack(beside).isfinite(), torch.stack(beside), y[:1])])
    # The points are dense enough to see the range, but for what lies between them.
    between = 0.05 * (y.amax(0) - y.amin(0)) + 5e-5 * size
    narrow = (u - l) < 2 * math.pi - 0.01  # a sine says [-1, 1] a little early
    if isinstance(relaxation, Sinc):
        narrow &= (l >= -4.5) & (u <= 4.5)  # and a sinc its envelope
    assert bool((low.double() >= y.amin(0) - between)[narrow].all())
    assert bool((high.double() <= y.amax(0) + between)[narrow].all())


@pytest.mark.parametrize("name", RELAXATIONS)
def test_initial_choices_give_the_default_lines(name: str) -> None:
    relaxation, ends = RELAXATIONS[name]
    l, u = _intervals(ends, torch.float64)
    keep = (u > l + 1e-4) & (u - l < 40)
    l, u = l[keep], u[keep]
    thetas = relaxation.initial(l, u)
    for theta in (thetas.lower, thetas.upper):
        assert theta is None or bool(((theta >= 0) & (theta <= 1)).all())
    chosen, default = relaxation.lines(l, u, thetas.lower, thetas.upper), relaxation.lines(l, u, None, None)
    middle = (l + u) / 2
    for one, other in (
        (chosen.lower_slope * middle, default.lower_slope * middle),
        (chosen.upper_slope * middle, default.upper_slope * middle),
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "exp", "square", "sqrt", "sin"]
)
def test_lines_are_not_needlessly_loose(name: str) -> None:
    """At the middle of the interval the gap between the lines is less than the range of the function."""
    relaxation, ends = RELAXATIONS[name]
    l, u = _intervals(ends, torch.float64)
    keep = (u > l + 1e-3) & (u - l < 6)
    l, u = l[keep], u[keep]
    lines = relaxation.lines(l, u, None, None)
    low, high = relaxation.interval(l, u)
    middle = (l + u) / 2
    intercept = 0.0 if lines.lower_intercept is None else lines.lower_intercept
    gap = (lines.upper_slope - lines.lower_slope) * middle + lines.upper_intercept - intercept
    assert bool((gap <= 1.02 * (high - low) + 1e-9).all())


def _corners(size: int) -> Tensor:
    return torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)] * size)


@pytest.mark.parametrize("choice", CHOICES)
def test_products_are_bounded(choice: float | None) -> None:
    """McCormick's planes at a grid of points of a grid of boxes: the least of a bilinear function less a plane."""
    generator = torch.Generator().manual_seed(0)
    l = torch.randn((200, 2), generator=generator, dtype=torch.float64)
    u = l + torch.rand((200, 2), generator=generator, dtype=torch.float64).mul(3).round(decimals=1)
    x, y = (Bounds(l[:, i : i + 1], u[:, i : i + 1]) for i in (0, 1))
    theta = None if choice is None else torch.full((200, 1, 1), choice, dtype=torch.float64)
    for sign in (1.0, -1.0):
        form = Dense(None, (1,), torch.full((200, 1, 1), sign, dtype=torch.float64))
        (for_x, for_y), constant = Product().backward(form, [x, y], Thetas(theta, theta))
        for t in _corners(2):
            px, py = x.lower + t[0] * x.width, y.lower + t[1] * y.width
            plane = for_x.a.view(-1, 1) * px + for_y.a.view(-1, 1) * py + constant
            assert bool((plane <= sign * px * py + 1e-9).all())


@pytest.mark.parametrize("choice", CHOICES)
def test_matrix_products_are_bounded(choice: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3), (3, 2)]
    lower = [torch.randn((4, *s), generator=generator, dtype=torch.float64) for s in shapes]
    x, y = (Bounds(l, l + torch.rand(l.shape, generator=generator, dtype=torch.float64)) for l in lower)
    theta = None if choice is None else torch.full((4, 5, 2, 2), choice, dtype=torch.float64)
    a = torch.randn((4, 5, 2, 2), generator=generator, dtype=torch.float64)
    op = MatrixProduct()
    (for_x, for_y), constant = op.backward(Dense(None, (2, 2), a), [x, y], Thetas(theta, theta))
    interval = op.interval(x, y)
    for _ in range(300):
        px, py = (
            b.lower + b.width * torch.rand(b.lower.shape, generator=generator, dtype=torch.float64).round()
            for b in (x, y)
        )
        value = px @ py
        assert bool(((interval.lower <= value + 1e-9) & (value <= interval.upper + 1e-9)).all())
        plane = (for_x.a * px.unsqueeze(1)).sum((2, 3)) + (for_y.a * py.unsqueeze(1)).sum((2, 3)) + constant
        assert bool((plane <= (a * value.unsqueeze(1)).sum((2, 3)) + 1e-9).all())


def test_a_flat_line_is_not_lost_beside_a_steep_one() -> None:
    """The lower line of exp on [-35, 35] has a slope of 1e-15, the upper one of 1e13: the first must come through whole."""
    ends = Bounds(torch.full((1, 1), -35.0), torch.full((1, 1), 35.0))
    lines = functions.EXP.lines(ends.lower, ends.upper, None, None)
    form = Dense(None, (1,), torch.ones(1, 1, 1))
    (part,), constant = Unary(functions.EXP).backward(form, [ends], Thetas())
    assert lines.lower_intercept is not None
    assert float(part.a) == float(lines.lower_slope)
    assert float(constant) == float(lines.lower_intercept)
    y = Bounds(torch.full((1, 1), 1e-15), torch.full((1, 1), 1e15))
    x = Bounds(torch.full((1, 1), 1.0), torch.full((1, 1), 2.0))
    (for_x, for_y), constant = Product().backward(
        form, [x, y], Thetas(torch.ones(1, 1, 1), torch.ones(1, 1, 1))
    )
    assert float(for_x.a) == float(y.lower)
    assert float(for_y.a) == 1.0
    assert float(constant) == -float(y.lower)


def test_maxima_are_bounded() -> None:
    """Random windows, among them dominated ones, equal ends and ties."""
    generator = torch.Generator().manual_seed(0)
    l = torch.randn((300, 1, 4), generator=generator, dtype=torch.float64).round(decimals=1)
    width = torch.rand((300, 1, 4), generator=generator, dtype=torch.float64).mul(3).round(decimals=0) / 2
    x = Bounds(l, l + width)
    op = Maximum()
    interval = op.interval(x)
    for sign in (1.0, -1.0):
        form = Dense(None, (1,), torch.full((300, 1, 1), sign, dtype=torch.float64))
        (part,), constant = op.backward(form, [x], Thetas())
        for t in _corners(4):
            point = x.lower + t * x.width
            value = point.amax(-1)
            assert bool(((interval.lower <= value) & (value <= interval.upper)).all())
            plane = (part.a.squeeze(1) * point).sum(-1) + constant
            assert bool((plane <= sign * value + 1e-9).all())


def test_exact_where_one_entry_dominates() -> None:
    x = Bounds(torch.tensor([[[2.0, -1.0, 0.0]]]), torch.tensor([[[3.0, 1.0, 1.5]]]))
    for sign in (1.0, -1.0):
        (part,), constant = Maximum().backward(Dense(None, (1,), torch.tensor([[[sign]]])), [x], Thetas())
        assert part.a.flatten().tolist() == [sign, 0.0, 0.0]
        assert float(constant) == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [Tanh(), Sigmoid(), functions.Atan(), functions.Erf()])
def test_the_touching_tangent_lies_above_the_left_end(function: SShaped, dtype: torch.dtype) -> None:
    left = -torch.cat([torch.zeros(1), torch.logspace(-9, 6, 20_001, dtype=torch.float64)]).to(dtype)
    touching = function.touching_point(left).double()
    left = left.double()
    above = function(touching) + function.derivative(touching) * (left - touching) - function(left)
    assert bool((touching >= 0).all())
    assert bool((touching <= -left).all())
    assert float(above.min()) >= -1e-12
    inside = (left < -1e-2) & (left > -1e3)
    a_little_less = touching * (1 - 2e-5)
    below = (
        function(a_little_less) + function.derivative(a_little_less) * (left - a_little_less) - function(left)
    )
    assert float(below[inside].max()) <= 1e-6  # and hardly any further right than it must


@pytest.mark.parametrize("function", [Tanh(), Sigmoid(), functions.Atan(), functions.Erf()])
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 40.0])
def test_derivatives_of_default_lines_are_those_that_torch_records(function: SShaped, scale: float) -> None:
    stream = torch.Generator().manual_seed(0)
    left = torch.randn(2000, dtype=torch.float64, generator=stream) * scale
    width = torch.rand(2000, dtype=torch.float64, generator=stream) * 2 * scale
    width[:50] = 0.0
    weights = torch.randn(4, 2000, dtype=torch.float64, generator=stream)

    def found(recorded: bool) -> list[torch.Tensor]:
        l, u = left.clone().requires_grad_(), (left + width).requires_grad_()
        if recorded:
            slope, intercept = function._above(torch.stack([l, -u]), torch.stack([u, -l]), None)
            parts = (slope[1], 2 * function.at_zero - intercept[1], slope[0], intercept[0])
        else:
            lines = function.lines(l, u, None, None)
            assert lines.lower_intercept is not None
            parts = (
                lines.lower_slope,
                lines.lower_intercept,
                lines.upper_slope,
                lines.upper_intercept,
            )
        gradients = torch.autograd.grad((torch.stack(parts) * weights).sum(), (l, u))
        return [*(part.detach() for part in parts), *gradients]

    for ours, recorded in zip(found(False), found(True), strict=True):
        torch.testing.assert_close(ours, recorded, rtol=1e-8, atol=1e-8)


def _defined() -> Iterator[tuple[str, Any]]:
    """Give the names and values that the modules of relaxations define themselves."""
    for part in pkgutil.iter_modules(relaxations.__path__):
        module = importlib.import_module(f"{relaxations.__name__}.{part.name}")
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__module__", module.__name__) == module.__name__:
                yield f"{part.name}.{name}", value


def test_every_relaxation_is_on_the_grid() -> None:
    """A class, an instance or a maker of relaxations without a grid of intervals is a gap in these tests."""
    kinds = {type(relaxation) for relaxation, _ in RELAXATIONS.values()}
    tried = [relaxation for relaxation, _ in RELAXATIONS.values()]
    makers = {make for make, _ in PARAMETERS.values()} | _REACHED_BY_DERIVATIVES
    missing = []
    for name, value in _defined():
        if isinstance(value, type) and issubclass(value, Relaxation) and not inspect.isabstract(value):
            missing += [name] * (value not in kinds)
        elif isinstance(value, Relaxation):
            missing += [name] * all(value is not one for one in tried)
        elif inspect.isfunction(value) and value.__annotations__.get("return") in _KINDS:
            missing += [name] * (value not in makers)
    assert not missing, "add them to RELAXATIONS or PARAMETERS"


_KINDS = {"Relaxation", "Convex", "Curve", "Jump", "Flat"}
_REACHED_BY_DERIVATIVES = {
    derivatives.softplus,
    derivatives.logistic,
    derivatives.elu,
    derivatives.clip,
    derivatives.power,
}
