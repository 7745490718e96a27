"""Products of two perturbed tensors: McCormick planes, entry by entry and for matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Nonlinear, T, Thetas, Writer
from robustsuite.perturbations.norms import pairing


class Product(Nonlinear):
    """x * y, entry by entry, for two tensors of one shape.

    Two planes bound the product from below and two from above; any mixture of the two is sound, and its weight is
    the free choice. By default the lower and the upper plane agree in the coefficient of the factor that varies
    more for its size, which is the smaller end of the other: an LSTM's state passes its gate with one coefficient.

    Args:
        gated: the first factor is best known by its interval (the derivative of a ReLU, 0 or 1), so by default it
            gets no coefficient, or as little as is sound: what is left for a gate in [0, 1] is the chord of
            relu(y) above and that of -relu(-y) below.

    Source: McCormick 1976; Shi et al. 2020, section 3.3.
    """

    def __init__(self, *, gated: bool = False) -> None:
        self._gated = gated

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0] * xs[1]

    def interval(self, *xs: Bounds) -> Bounds:
        x, y = xs
        ends = torch.stack([x.lower * y.lower, x.lower * y.upper, x.upper * y.lower, x.upper * y.upper])
        return Bounds(ends.amin(0), ends.amax(0))

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        (lx, ux), (ly, uy) = ((b.lower, b.upper) for b in inputs)
        low, high = self._weights(lx, ux, ly, uy)
        terms = xs[0].scaled(low * ly + (1 - low) * uy, high * uy + (1 - high) * ly)
        terms = terms.plus(xs[1].scaled(low * lx + (1 - low) * ux, high * lx + (1 - high) * ux))
        return terms.shifted(-(low * lx * ly + (1 - low) * ux * uy), -(high * lx * uy + (1 - high) * ux * ly))

    def _weights(self, lx: Tensor, ux: Tensor, ly: Tensor, uy: Tensor) -> tuple[Tensor, Tensor]:
        """Give the default weights of the first lower and of the first upper plane."""
        if self._gated:
            room = (uy - ly).clamp(min=torch.finfo(ly.dtype).tiny)
            return (uy / room).clamp(0, 1), (-ly / room).clamp(0, 1)
        # The first planes share y's coefficient lx, the second ones ux; the first lower and the second upper plane
        # share x's coefficient ly, the others uy.
        share_y = (lx + ux).abs() * (uy - ly) >= (ly + uy).abs() * (ux - lx)
        with_lx, with_ly = lx.abs() <= ux.abs(), ly.abs() <= uy.abs()
        low, high = torch.where(share_y, with_lx, with_ly), torch.where(share_y, with_lx, ~with_ly)
        return low.to(lx.dtype), high.to(lx.dtype)

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        # Where the other factor is a constant the product is linear, and its planes are exact.
        wide = inputs[0].upper > inputs[0].lower
        return wide & (inputs[1].upper > inputs[1].lower)

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        default = thetas.lower is None and thetas.upper is None
        if default:
            below, above = (
                [form.take(part).unsqueeze(1) for part in plane] for plane in self._default_planes(inputs)
            )
        else:
            taken = [Bounds(form.take(b.lower).unsqueeze(1), form.take(b.upper).unsqueeze(1)) for b in inputs]
            below, above = self._planes_by(taken, thetas)
        # With a = rising + falling: rising * lower plane + falling * upper plane, kept apart as in `Unary.backward`.
        a = form.a
        rising = a.clamp(min=0)
        falling = a - rising

        def mixed(low: Tensor, high: Tensor) -> Tensor:
            return torch.addcmul(rising * low, falling, high)

        forms = [
            form.with_coefficients(mixed(low, high)) for low, high in zip(below[:2], above[:2], strict=True)
        ]
        constant = pairing(falling, above[2]) + pairing(rising, below[2])
        return (forms[0], forms[1]), constant

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        return 4 * sizes[0] * sizes[1]

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        return writer.multiplied(inputs[1 - which], rows)

    @property
    def is_multilinear(self) -> bool:
        return True

    @property
    def has_alternative(self) -> bool:
        return not self._gated

    def alternative(self, form: LinearForm) -> Thetas | None:
        one = form.a.new_ones(())
        return None if self._gated else Thetas(lower=one, upper=one)

    def _default_planes(self, inputs: Sequence[Bounds]) -> tuple[list[Tensor], list[Tensor]]:
        """Give the default planes; many backward passes ask for those of the same intervals."""
        x, y = inputs
        return x.remembered((self, y), lambda: self._planes_by(inputs, Thetas()))

    def _planes_by(self, inputs: Sequence[Bounds], thetas: Thetas) -> tuple[list[Tensor], list[Tensor]]:
        """Give the plane below and the one above: coefficients of x and of y, and the constant."""
        (lx, ux), (ly, uy) = ((b.lower, b.upper) for b in inputs)
        low, high = self._weights(lx, ux, ly, uy)
        low = low if thetas.lower is None else thetas.lower
        high = high if thetas.upper is None else thetas.upper
        # First lower plane: ly x + lx y - lx ly; second: uy x + ux y - ux uy.
        # First upper plane: uy x + lx y - lx uy; second: ly x + ux y - ux ly.
        below = [torch.lerp(uy, ly, low), torch.lerp(ux, lx, low), -torch.lerp(ux * uy, lx * ly, low)]
        above = [torch.lerp(ly, uy, high), torch.lerp(ux, lx, high), -torch.lerp(ux * ly, lx * uy, high)]
        return below, above

    def initial_thetas(self, inputs: Sequence[Bounds]) -> Thetas:
        like = inputs[0].lower
        low, high = self._weights(inputs[0].lower, inputs[0].upper, inputs[1].lower, inputs[1].upper)
        return Thetas(lower=low.expand_as(like).clone(), upper=high.expand_as(like).clone())


_EXPAND_UP_TO = (
    2**22
)  # terms of a matrix product whose intervals are multiplied one by one: tighter, and dearer


class MatrixProduct(Nonlinear):
    """x @ y for two perturbed tensors with the same leading axes: a sum of products.

    The planes of `Product` for each term, added up by two matrix products; nothing of size
    (rows, inner, columns) is made. One free choice per entry of the result, by default that of `Product` for most
    of the entry's terms.

    Source: Shi et al. 2020, section 3.3.
    """

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0] @ xs[1]

    def layout(self, form: LinearForm) -> LinearForm:
        return form.dense()

    def interval(self, *xs: Bounds) -> Bounds:
        x, y = xs
        if x.lower.numel() * y.lower.shape[-1] <= _EXPAND_UP_TO:
            columns, rows = x.view(*x.lower.shape, 1), y.view(*y.lower.shape[:-2], 1, *y.lower.shape[-2:])
            terms = Product().interval(columns, rows)
            return Bounds(terms.lower.sum(-2), terms.upper.sum(-2))
        (mx, rx), (my, ry) = (((b.lower + b.upper) / 2, (b.upper - b.lower) / 2) for b in xs)
        middle = mx @ my
        radius = mx.abs() @ ry + rx @ my.abs() + rx @ ry
        return Bounds(middle - radius, middle + radius)

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        (lx, ux), (ly, uy) = ((b.lower, b.upper) for b in inputs)
        for_x, for_y = (ly + uy) / 2, (lx + ux) / 2

        def left(weight: Tensor) -> Callable[[Tensor], Tensor]:
            return lambda t: t @ _for_columns(weight, t)

        def right(weight: Tensor) -> Callable[[Tensor], Tensor]:
            return lambda t: _for_columns(weight, t) @ t

        terms = _signed(xs[0], for_x, left).plus(_signed(xs[1], for_y, right))
        return terms.shifted(-(lx @ ly + ux @ uy) / 2, -(lx @ uy + ux @ ly) / 2)

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        dense = form.dense()
        x, y = inputs
        lx, ux, ly, uy = (dense.take_input(t).unsqueeze(1) for t in (x.lower, x.upper, y.lower, y.upper))
        a = dense.a.contiguous()
        if thetas.lower is None and thetas.upper is None:
            low, high, below, above = (dense.take_input(t).unsqueeze(1) for t in self._defaults(x, y))
        else:
            half = a.new_tensor(0.5)
            low = half if thetas.lower is None else thetas.lower
            high = half if thetas.upper is None else thetas.upper
            below, above = torch.lerp(ux @ uy, lx @ ly, low), torch.lerp(ux @ ly, lx @ uy, high)
        constant = pairing(a, above) + pairing(a.clamp(min=0), below - above)
        # With the specs between the result's rows and columns, both products are one matrix product for all specs.
        a, low, high = (t.movedim(1, -2) if t.dim() else t for t in (a, low, high))
        lx, ux, ly, uy = (t.squeeze(1) for t in (lx, ux, ly, uy))
        a = a.contiguous()
        # With a = rising + falling: low rising goes to the plane of lx and ly, (1 - low) rising to that of ux and uy,
        # high falling to that of lx and uy, (1 - high) falling to that of ux and ly. What is not with lx is with ux.
        rising = a.clamp(min=0)
        falling = a - rising
        first = rising * low
        with_lx, with_ly = torch.addcmul(first, falling, high), torch.addcmul(first, falling, 1 - high)
        specs, columns = a.shape[-2:]
        with_ly, uniform = with_ly.flatten(-3, -2), a.flatten(-3, -2)
        for_x = with_ly @ (ly - uy).transpose(-1, -2) + uniform @ uy.transpose(-1, -2)
        with_lx, uniform = with_lx.flatten(-2), a.flatten(-2)
        for_y = (lx - ux).transpose(-1, -2) @ with_lx + ux.transpose(-1, -2) @ uniform
        for_x = for_x.unflatten(-2, (-1, specs)).movedim(-2, 1).contiguous()
        for_y = for_y.unflatten(-1, (specs, columns)).movedim(-2, 1).contiguous()
        return (dense.like(for_x), dense.like(for_y)), -constant

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        return 4 * sizes[0].shape[-1] * (sizes[0] @ sizes[1])

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        other = writer.swapped(inputs[1 - which])
        return writer.matrix_product(rows, other) if which == 0 else writer.matrix_product(other, rows)

    @property
    def is_multilinear(self) -> bool:
        return True

    @property
    def has_alternative(self) -> bool:
        return True

    def alternative(self, form: LinearForm) -> Thetas | None:
        ones = torch.ones_like(form.dense().a[:1, :1])
        return Thetas(lower=ones, upper=ones)

    def initial_thetas(self, inputs: Sequence[Bounds]) -> Thetas:
        low, high, _, _ = self._defaults(*inputs)
        return Thetas(lower=low.clone(), upper=high.clone())

    def _defaults(self, x: Bounds, y: Bounds) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give the default weights of the first lower and of the first upper plane, and the negated constants of the
        mixtures; every pass asks for them."""
        return x.remembered((self, y), lambda: self._computed_defaults(x, y))

    def _computed_defaults(self, x: Bounds, y: Bounds) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        lx, ux, ly, uy = x.lower, x.upper, y.lower, y.upper
        share_y = (lx + ux).abs() @ (uy - ly) >= (ux - lx) @ (ly + uy).abs()
        with_lx = (ux.abs() - lx.abs()) @ (uy - ly) >= 0
        with_ly = (ux - lx) @ (uy.abs() - ly.abs()) >= 0
        low, high = torch.where(share_y, with_lx, with_ly), torch.where(share_y, with_lx, ~with_ly)
        low, high = low.to(lx.dtype), high.to(lx.dtype)
        below, above = torch.lerp(ux @ uy, lx @ ly, low), torch.lerp(ux @ ly, lx @ uy, high)
        return low, high, below, above


def _for_columns(weight: Tensor, columns: Tensor) -> Tensor:
    """Repeat each example's matrix for its columns: (batch, ...) for columns of shape (batch * inputs, ...)."""
    return weight.repeat_interleave(len(columns) // len(weight), 0)


def _signed(x: Planes, weight: Tensor, product: Callable[[Tensor], Callable[[Tensor], Tensor]]) -> Planes:
    """Push planes through a matrix product whose factor has both signs."""
    same, other = x.mapped(product(weight.clamp(min=0))), x.mapped(product(weight.clamp(max=0)))
    return Planes(
        same.lower_slope + other.upper_slope,
        same.lower_constant + other.upper_constant,
        same.upper_slope + other.lower_slope,
        same.upper_constant + other.lower_constant,
    )
