"""Elementwise nonlinearities: what a relaxation must give, and the step that applies it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Nonlinear, T, Thetas, Writer, no_derivative
from robustsuite.bounds.program import Program, Ref
from robustsuite.errors import UnboundedOutput
from robustsuite.perturbations.norms import pairing


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """A line below and a line above a function of one variable on an interval.

    The line below passes the origin where its intercept is None, as those of ReLUs do.
    """

    lower_slope: Tensor
    lower_intercept: Tensor | None
    upper_slope: Tensor
    upper_intercept: Tensor


class Relaxation(ABC):
    """A function of one variable with its range and its bounding lines on an interval [l, u].

    Attributes:
        kernel_cancels: whether kernels compute it through 1 + tanh or 1 + erf, which cancel.
    """

    kernel_cancels: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Apply the function."""

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Give the range on [l, u]; by default that of a rising function."""
        return self(l), self(u)

    def range(self, ends: Bounds) -> Bounds:
        """Give the range on an interval; for functions that gain from its sum and width."""
        return Bounds(*self.interval(ends.lower, ends.upper))

    @abstractmethod
    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        """Give bounding lines on [l, u].

        Args:
            l, u: ends, l <= u.
            lower, upper: free choices in [0, 1] for the line below and above, broadcastable with `l`; None takes
                the default line.
        """

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        """Give the free choices that reproduce the default lines, of the shape of `l`."""
        return Thetas()

    def unresolved(self, l: Tensor, u: Tensor) -> Tensor:
        """Say where tighter ends would give tighter lines."""
        return u > l

    def differentiable(self, form: LinearForm, ends: Bounds) -> tuple[Tensor, Tensor] | None:
        """Give the coefficients of the input and the constant by the default lines, where there is a way whose gradient
        costs less than that of `lines`; else None."""
        return None

    def differentiate(self) -> Relaxation:
        """Give the derivative, which at a kink takes all values between those of its two sides.

        Raises:
            UnsupportedOperator: none is known, or the function has jumps.
        """
        raise no_derivative(type(self).__name__)

    def slope(self, writer: Writer[T], x: T, y: T) -> T:
        """Write the derivative at `x`, where the function has the value `y`; by default that of `differentiate`."""
        return writer.applied(Unary(self.differentiate()), x)


class Unary(Nonlinear):
    """Apply a relaxation's function to each entry."""

    def __init__(self, relaxation: Relaxation) -> None:
        self.relaxation = relaxation

    def forward(self, *xs: Tensor) -> Tensor:
        return self.relaxation(xs[0])

    def interval(self, *xs: Bounds) -> Bounds:
        return self.relaxation.range(xs[0])

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        return self.relaxation.unresolved(inputs[0].lower, inputs[0].upper)

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        l, u = inputs[0].lower, inputs[0].upper
        total = torch.zeros_like(l)
        # Slopes are monotone in the choice, so the extreme choices bound them all.
        for choice in (None, torch.zeros_like(l), torch.ones_like(l)):
            lines = self.relaxation.lines(l, u, choice, choice)
            for slope, intercept in (
                (lines.lower_slope, lines.lower_intercept),
                (lines.upper_slope, lines.upper_intercept),
            ):
                reach = slope.abs() * sizes[0] + (0.0 if intercept is None else intercept.abs())
                total = torch.maximum(total, reach)
        return 2 * (total + 1 + sizes[0] if self.relaxation.kernel_cancels else total)

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        return writer.multiplied(self.relaxation.slope(writer, inputs[0], output), rows)

    def initial_thetas(self, inputs: Sequence[Bounds]) -> Thetas:
        return self.relaxation.initial(inputs[0].lower, inputs[0].upper)

    def lines(self, ends: Bounds) -> Lines:
        """Give the default lines; many backward passes ask for those of the same interval."""
        return ends.remembered(self, lambda: self.relaxation.lines(ends.lower, ends.upper, None, None))

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        lines = self.lines(inputs[0])
        below = 0.0 if lines.lower_intercept is None else lines.lower_intercept
        below = torch.as_tensor(below, dtype=lines.upper_intercept.dtype, device=lines.upper_intercept.device)
        return xs[0].scaled(lines.lower_slope, lines.upper_slope).shifted(below, lines.upper_intercept)

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        default = thetas.lower is None and thetas.upper is None
        if default and torch.is_grad_enabled():
            quick = self.relaxation.differentiable(form, inputs[0])
            if quick is not None:
                slope, constant = quick
                return (form.with_coefficients(slope, zero_outside=True),), constant
        if default:
            lines = self.lines(inputs[0])

            def at(values: Tensor) -> Tensor:
                return form.take(values).unsqueeze(1)

        else:
            l, u = (form.take(end).unsqueeze(1) for end in (inputs[0].lower, inputs[0].upper))
            lines = self.relaxation.lines(l, u, thetas.lower, thetas.upper)

            def at(values: Tensor) -> Tensor:
                return values

        # With a = rising + falling: rising * lower line + falling * upper line. The two are kept apart: where one line is
        # flat and the other as steep as that of an exponential, a difference of theirs would be all rounding.
        a = form.a
        rising = a.clamp(min=0)
        falling = a - rising
        constant = pairing(falling, at(lines.upper_intercept))
        if lines.lower_intercept is not None:
            constant = constant + pairing(rising, at(lines.lower_intercept))
        lower_slope, upper_slope = at(lines.lower_slope), at(lines.upper_slope)
        if torch.is_grad_enabled() or len(lower_slope) > len(rising):
            slope = torch.addcmul(rising * lower_slope, falling, upper_slope)
        else:
            slope = rising.mul_(lower_slope).addcmul_(falling, upper_slope)
        return (form.with_coefficients(slope, zero_outside=default),), constant


def apply_unary(g: Program, x: Ref, relaxation: Relaxation) -> Ref:
    """Add the step that applies a relaxation's function to `x`."""
    return g.emit(Unary(relaxation), x, shape=x.shape)


def chord(l: Tensor, u: Tensor, at_l: Tensor, at_u: Tensor, narrow: Tensor) -> Tensor:
    """Give the slope of the chord, 0 where the interval is `narrow` (there constants bound the function)."""
    return torch.where(narrow, 0.0, (at_u - at_l) / torch.where(narrow, 1.0, u - l))


def check_domain(
    name: str, domain: tuple[float, float], l: Tensor, u: Tensor, *, closed: bool = False
) -> None:
    """Refuse intervals that leave a function's domain.

    Args:
        name: of the function, for messages.
        domain: its ends; an infinite one is never left.
        closed: whether the ends themselves belong to it.

    Raises:
        UnboundedOutput: an interval leaves it.
    """
    low, high = domain
    leaves = []
    if low > -torch.inf:
        leaves.append((l < low) if closed else (l <= low))
    if high < torch.inf:
        leaves.append((u > high) if closed else (u >= high))
    if any(bool(where.any()) for where in leaves):
        ends = f"[{low:g}, {high:g}]" if closed else f"({low:g}, {high:g})"
        raise UnboundedOutput(
            f"{name} has no finite bounds: its argument may leave {ends} on this region; use "
            "a smaller eps, a tighter method such as crown, or keep the argument inside (add a constant)"
        )


def check_overflow(name: str, function: Callable[[Tensor], Tensor], l: Tensor, u: Tensor) -> None:
    """Refuse intervals at whose ends a function is infinite in floating point.

    Raises:
        UnboundedOutput: it is.
    """
    if not bool((function(l).isfinite() & function(u).isfinite()).all()):
        raise UnboundedOutput(
            f"{name} overflows on this region, where its argument reaches from {float(l.detach().min()):.3g} to "
            f"{float(u.detach().max()):.3g}; use a smaller eps, or subtract a constant from the argument (softmax and "
            "logsumexp do so by themselves)"
        )


def is_narrow(l: Tensor, u: Tensor) -> Tensor:
    """Say where [l, u] is so narrow that the chord's slope would be rounding noise."""
    return (u - l) <= 64 * torch.finfo(l.dtype).eps * (1 + l.abs().maximum(u.abs()))
