"""Powers: the square and the reciprocal."""

from __future__ import annotations

import torch
from torch import Tensor

from robustsuite.bounds.operations import T, Thetas, Writer
from robustsuite.bounds.relaxations.unary import Lines, Relaxation, Unary
from robustsuite.errors import UnboundedOutput


class Square(Relaxation):
    """x squared: convex, so the chord above, and below a tangent at any point of the interval (the free choice)."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.square()

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        ends = l.square(), u.square()
        across = (l < 0) & (u > 0)
        return torch.where(across, 0.0, torch.minimum(*ends)), torch.maximum(*ends)

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        point = (l + u) / 2 if lower is None else l + lower * (u - l)
        return Lines(2 * point, -point.square(), l + u, -l * u)

    def slope(self, writer: Writer[T], x: T, y: T) -> T:
        return writer.scaled(x, 2.0)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        return Thetas(lower=torch.full_like(l, 0.5))


class Reciprocal(Relaxation):
    """1 / x on an interval of one sign: chord on one side, a tangent (the free choice) on the other.

    Raises:
        UnboundedOutput: the interval holds 0.
    """

    def __call__(self, x: Tensor) -> Tensor:
        return x.reciprocal()

    def interval(self, l: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        if bool(((l <= 0) & (u >= 0)).any()):
            raise UnboundedOutput(
                "1/x has no finite bounds: x may be 0 on this region; use a smaller eps, a tighter method such as "
                "crown, or keep the denominator away from 0 (add a constant)"
            )
        return u.reciprocal(), l.reciprocal()

    def lines(self, l: Tensor, u: Tensor, lower: Tensor | None, upper: Tensor | None) -> Lines:
        positive = l > 0
        free = lower if upper is None else upper if lower is None else torch.where(positive, lower, upper)
        point = (l + u) / 2 if free is None else l + free * (u - l)
        tangent_slope, tangent_intercept = -point.square().reciprocal(), 2 / point
        chord_slope, chord_intercept = -1 / (l * u), 1 / l + 1 / u
        return Lines(
            torch.where(positive, tangent_slope, chord_slope),
            torch.where(positive, tangent_intercept, chord_intercept),
            torch.where(positive, chord_slope, tangent_slope),
            torch.where(positive, chord_intercept, tangent_intercept),
        )

    def slope(self, writer: Writer[T], x: T, y: T) -> T:
        return writer.scaled(writer.applied(Unary(Square()), y), -1.0)

    def initial(self, l: Tensor, u: Tensor) -> Thetas:
        return Thetas(lower=torch.full_like(l, 0.5), upper=torch.full_like(l, 0.5))
