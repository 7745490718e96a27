"""Operators that move entries: views, permutations, slices, concatenation, padding, repetition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm, Shape
from robustsuite.bounds.forms.picks import Differences, OneHot, Picks
from robustsuite.bounds.forms.pieces import Pieces
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Affine, LinearMap, T, Writer
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules import masks
from robustsuite.bounds.rules.table import Table, constant_like, shape_of
from robustsuite.errors import UnsupportedOperator

aten = torch.ops.aten


class _Moved(Affine):
    """Each entry of the output is one of the input's, and none is used twice."""

    def interval(self, *xs: Bounds) -> Bounds:
        return xs[0].mapped(self.forward)

    def terms(self) -> int:
        return 1

    def keeps_features_apart(self) -> bool:
        return True


class Reshape(_Moved):
    """See the same entries, in the same order, in another shape."""

    def __init__(self, before: Shape, after: Shape) -> None:
        self._before, self._after = before, after

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0].reshape(len(xs[0]), *self._after)

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        if isinstance(form, OneHot | Picks | Differences):
            return (form.reshaped(self._before),)
        dense = form.dense()
        return (dense.like(dense.a.reshape(*dense.a.shape[:2], *self._before)),)


class Permute(_Moved):
    """Reorder the axes of an example."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = tuple(order)
        self._inverse = tuple(self._order.index(i) for i in range(len(self._order)))

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0].permute(0, *(axis + 1 for axis in self._order))

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        return (dense.like(dense.a.permute(0, 1, *(axis + 2 for axis in self._inverse))),)


class Expand(Affine):
    """Repeat entries along axes of size 1, and along new axes in front."""

    def __init__(self, before: Shape, after: Shape) -> None:
        self._before, self._after = before, after
        self._aligned = (1,) * (len(after) - len(before)) + before
        self._summed = [i + 2 for i, (b, a) in enumerate(zip(self._aligned, after, strict=True)) if b != a]

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0].reshape(len(xs[0]), *self._aligned).expand(-1, *self._after)

    def interval(self, *xs: Bounds) -> Bounds:
        return xs[0].mapped(self.forward)

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        a = dense.a.sum(self._summed, keepdim=True) if self._summed else dense.a
        return (dense.like(a.reshape(*a.shape[:2], *self._before)),)


class Concatenate(Affine):
    """Join tensors along an axis of the example."""

    def __init__(self, shapes: Sequence[Shape], axis: int) -> None:
        self._shapes, self._axis = tuple(shapes), axis

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, self._axis + 1)

    def interval(self, *xs: Bounds) -> Bounds:
        return Bounds(self.forward(*(x.lower for x in xs)), self.forward(*(x.upper for x in xs)))

    def terms(self) -> int:
        return 1

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        parts = dense.a.split([shape[self._axis] for shape in self._shapes], self._axis + 2)
        return tuple(dense.like(part) for part in parts)


class Slice(_Moved):
    """Keep the entries of a slice along an axis."""

    def __init__(self, before: Shape, axis: int, kept: slice) -> None:
        self._before = before
        self._index = (slice(None),) * (axis + 1) + (kept,)

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0][self._index]

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        return (Pieces(dense.rows, self._before, (((slice(None), *self._index), dense.a),)),)


class Shift(Affine):
    """Add a constant, shape (batch or 1, *shape)."""

    def __init__(self, constant: Tensor) -> None:
        self._constant = constant

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0] + self._constant

    def interval(self, *xs: Bounds) -> Bounds:
        if xs[0].is_centered:
            total, width = xs[0].sum_and_width()
            return Bounds.centered(total + 2 * self._constant, width)
        return Bounds(xs[0].lower + self._constant, xs[0].upper + self._constant)

    def planes(self, *xs: Planes) -> Planes:
        return xs[0].shifted(self._constant, self._constant)

    def terms(self) -> int:
        return 2

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        return (form,)

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        return rows

    def offset(self) -> Tensor | None:
        return self._constant

    def linear(self, *xs: Tensor) -> Tensor:
        return xs[0]

    def keeps_features_apart(self) -> bool:
        return True


@overload
def reshape(g: Program, x: Ref, shape: Sequence[int]) -> Ref: ...
@overload
def reshape(g: Program, x: Tensor, shape: Sequence[int]) -> Tensor: ...
def reshape(g: Program, x: Ref | Tensor, shape: Sequence[int]) -> Ref | Tensor:
    """View `x` in another shape; one entry may be -1. A constant stays one."""
    if isinstance(x, Tensor):
        return x.reshape(tuple(shape))
    known = math.prod(s for s in shape if s != -1)
    after = tuple(x.numel // known if s == -1 else int(s) for s in shape)
    if after == x.shape:
        return x
    result = g.emit(Reshape(x.shape, after), x, shape=after)
    if x.index in g.convex_weights and after[-1:] == x.shape[-1:]:
        g.convex_weights.add(result.index)
    return result


@overload
def permute(g: Program, x: Ref, order: Sequence[int]) -> Ref: ...
@overload
def permute(g: Program, x: Tensor, order: Sequence[int]) -> Tensor: ...
def permute(g: Program, x: Ref | Tensor, order: Sequence[int]) -> Ref | Tensor:
    """Reorder the axes of `x`. A constant stays one."""
    if isinstance(x, Tensor):
        return x.permute(tuple(order))
    order = [axis % len(x.shape) for axis in order]
    if order == sorted(order):
        return x
    return g.emit(Permute(order), x, shape=tuple(x.shape[axis] for axis in order))


def to_last(g: Program, x: Ref, axes: Sequence[int] | int) -> tuple[Ref, Shape]:
    """Give `x` with `axes` (all of them if there are none) joined as the last one, and its shape with 1 in their place."""
    axes = [axes] if isinstance(axes, int) else list(axes)
    reduced = sorted(a % len(x.shape) for a in axes) if axes else list(range(len(x.shape)))
    kept = [a for a in range(len(x.shape)) if a not in reduced]
    flat = reshape(g, permute(g, x, [*kept, *reduced]), (*(x.shape[a] for a in kept), -1))
    return flat, tuple(1 if a in reduced else s for a, s in enumerate(x.shape))


@overload
def transpose(g: Program, x: Ref, first: int, second: int) -> Ref: ...
@overload
def transpose(g: Program, x: Tensor, first: int, second: int) -> Tensor: ...
def transpose(g: Program, x: Ref | Tensor, first: int, second: int) -> Ref | Tensor:
    """Swap two axes of `x`. A constant stays one."""
    order = list(range(len(x.shape)))
    order[first], order[second] = order[second], order[first]
    return permute(g, x, order)


@overload
def expand(g: Program, x: Ref, shape: Sequence[int], implicit: bool = False) -> Ref: ...
@overload
def expand(g: Program, x: Tensor, shape: Sequence[int], implicit: bool = False) -> Tensor: ...
def expand(g: Program, x: Ref | Tensor, shape: Sequence[int], implicit: bool = False) -> Ref | Tensor:
    """Repeat `x` along axes of size 1; -1 keeps an axis. A constant stays one."""
    if isinstance(x, Tensor):
        return x.expand(tuple(shape))
    offset = len(shape) - len(x.shape)
    after = tuple(x.shape[i - offset] if s == -1 else int(s) for i, s in enumerate(shape))
    if math.prod(after) == x.numel:
        return reshape(g, x, after)  # nothing is repeated: this keeps features apart
    result = g.emit(Expand(x.shape, after), x, shape=after)
    if x.index in g.convex_weights and after[-1:] == x.shape[-1:]:
        g.convex_weights.add(result.index)
    return result


def shift(g: Program, x: Ref, constant: Tensor) -> Ref:
    """Add a constant of shape (*shape) to `x`; its entries of -inf are held as placeholders.

    Raises:
        UnsupportedOperator: it holds NaN or inf.
    """
    constant, low = masks.without_infinities(constant, g.where)
    op = Shift(constant.expand(x.shape).unsqueeze(0))
    if low is None:
        return g.emit(op, x, shape=x.shape)
    result = g.emit(op, x, shape=x.shape, refine=masks.stay_apart, refine_from=[x], masked=True)
    return replace(result, masked=low.expand(x.shape))


def moved(function: Callable[..., Tensor], *, one_to_one: bool = False) -> Callable[..., Ref]:
    """Make the rule of an operator that only picks, repeats, moves or adds up entries of its argument.

    `function` takes the tensor with the rows in front.
    """

    def rule(g: Program, x: Ref) -> Ref:
        op = LinearMap(function, [x.shape], one_to_one=one_to_one)
        return g.emit(op, x, shape=shape_of(function, x.shape))

    return rule


def axis_after(axis: int) -> int:
    """Turn an example's axis number into the tensor's, which has the rows in front."""
    return axis + 1 if axis >= 0 else axis


def cat(g: Program, parts: Sequence[Ref | Tensor], dim: int = 0) -> Ref:
    """Join tensors, perturbed or constant, along `dim`."""
    parts = [part for part in parts if tuple(part.shape) != (0,)]
    axis = dim % len(parts[0].shape)
    refs = [part for part in parts if isinstance(part, Ref)]
    total = list(parts[0].shape)
    total[axis] = sum(part.shape[axis] for part in parts)
    if len(refs) == len(parts):
        return g.emit(Concatenate([r.shape for r in refs], axis), *refs, shape=tuple(total))
    # Constants enter as an offset: the perturbed parts are placed among zeros.
    zeros = [Ref(-1, tuple(part.shape)) if isinstance(part, Ref) else part for part in parts]

    def place(*xs: Tensor) -> Tensor:
        given = iter(xs)
        rows = len(xs[0])
        pieces = [
            next(given) if isinstance(part, Ref) else torch.zeros_like(part).expand(rows, *part.shape)
            for part in zeros
        ]
        return torch.cat(pieces, axis + 1)

    placed = g.emit(LinearMap(place, [r.shape for r in refs]), *refs, shape=tuple(total))
    like = next(part for part in parts if isinstance(part, Tensor))
    offset = torch.cat(
        [torch.zeros(part.shape).to(like) if isinstance(part, Ref) else part for part in parts], axis
    )
    return shift(g, placed, offset)


def _pad(g: Program, x: Ref, pad: Sequence[int], value: float = 0.0) -> Ref:
    pad = [int(p) for p in pad]

    def apply(t: Tensor) -> Tensor:
        return functional.pad(t, pad)

    shape = shape_of(apply, x.shape)
    padded = g.emit(LinearMap(apply, [x.shape], one_to_one=True), x, shape=shape)
    if value == 0:
        return padded
    like = constant_like(g)
    border = functional.pad(torch.zeros(x.shape, **like), pad, value=float(value))
    return shift(g, padded, border)


def _split(g: Program, x: Ref, sizes: Any, dim: int = 0) -> tuple[Ref, ...]:
    axis = dim % len(x.shape)
    if isinstance(sizes, int):
        sizes = [min(sizes, x.shape[axis] - i) for i in range(0, x.shape[axis], sizes)]
    parts, start = [], 0
    for size in sizes:
        parts.append(slice_axis(g, x, axis, start, start + size))
        start += size
    return tuple(parts)


def slice_axis(
    g: Program, x: Ref, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Ref:
    """Keep the entries start, start + step, ... before `end` along an axis."""
    axis = dim % len(x.shape)
    kept = slice(*slice(start, end, step).indices(x.shape[axis]))
    if kept == slice(0, x.shape[axis], 1):
        return x
    size = len(range(kept.start, kept.stop, kept.step))
    return g.emit(Slice(x.shape, axis, kept), x, shape=(*x.shape[:axis], size, *x.shape[axis + 1 :]))


def _select(g: Program, x: Ref, dim: int, index: int) -> Ref:
    axis = dim % len(x.shape)
    index = index % x.shape[axis]
    return reshape(g, slice_axis(g, x, axis, index, index + 1), (*x.shape[:axis], *x.shape[axis + 1 :]))


def _unbind(g: Program, x: Ref, dim: int = 0) -> tuple[Ref, ...]:
    return tuple(_select(g, x, dim % len(x.shape), i) for i in range(x.shape[dim]))


def _squeeze(g: Program, x: Ref, dims: int | Sequence[int] | None = None) -> Ref:
    if dims is None:
        dims = range(len(x.shape))
    axes = {d % len(x.shape) for d in ([dims] if isinstance(dims, int) else dims)}
    return reshape(g, x, [s for i, s in enumerate(x.shape) if i not in axes or s != 1])


def _unsqueeze(g: Program, x: Ref, dim: int) -> Ref:
    axis = dim % (len(x.shape) + 1)
    return reshape(g, x, (*x.shape[:axis], 1, *x.shape[axis:]))


def _flatten(g: Program, x: Ref, start_dim: int = 0, end_dim: int = -1) -> Ref:
    first, last = start_dim % len(x.shape), end_dim % len(x.shape)
    return reshape(g, x, (*x.shape[:first], -1, *x.shape[last + 1 :]))


def _repeat(g: Program, x: Ref, repeats: Sequence[int]) -> Ref:
    aligned = reshape(g, x, (1,) * (len(repeats) - len(x.shape)) + x.shape)
    return moved(lambda t: t.repeat(1, *repeats))(g, aligned)


def _flip(g: Program, x: Ref, dims: Sequence[int]) -> Ref:
    return moved(lambda t: t.flip([axis_after(d) for d in dims]), one_to_one=True)(g, x)


def _roll(g: Program, x: Ref, shifts: Sequence[int], dims: Sequence[int] = ()) -> Ref:
    flat = x if dims else reshape(g, x, (-1,))
    rolled = moved(lambda t: t.roll(list(shifts), [axis_after(d) for d in dims or (0,)]), one_to_one=True)(
        g, flat
    )
    return reshape(g, rolled, x.shape)


def stack(g: Program, parts: Sequence[Ref | Tensor], dim: int = 0) -> Ref:
    """Join tensors, perturbed or constant, along a new axis."""
    axis = dim % (len(parts[0].shape) + 1)
    return cat(g, [reshape(g, p, (*p.shape[:axis], 1, *p.shape[axis:])) for p in parts], axis)


def _nothing(g: Program, x: Ref, size: Any = None, stride: Any = None, dtype: Any = None) -> None:
    """Drop an assertion about dtype, device or size, which tracing has checked."""


def _same(g: Program, x: Ref) -> Ref:
    return x


def _dropout(g: Program, x: Ref, p: float, train: bool) -> Ref:
    if train and p > 0:
        raise UnsupportedOperator(
            f"{g.where} drops entries out at random, in eval mode too; give it training=self.training"
        )
    return x


TABLE: Table = {
    aten.view.default: reshape,
    aten._unsafe_view.default: reshape,
    aten.reshape.default: reshape,
    aten.permute.default: permute,
    aten.transpose.int: transpose,
    aten.t.default: lambda g, x: transpose(g, x, 0, 1) if len(x.shape) == 2 else x,
    aten.expand.default: expand,
    aten.cat.default: cat,
    aten.stack.default: stack,
    aten.constant_pad_nd.default: _pad,
    aten.split_with_sizes.default: _split,
    aten.split.Tensor: _split,
    aten.unbind.int: _unbind,
    aten.slice.Tensor: slice_axis,
    aten.select.int: _select,
    aten.squeeze.default: _squeeze,
    aten.squeeze.dim: _squeeze,
    aten.squeeze.dims: _squeeze,
    aten.unsqueeze.default: _unsqueeze,
    aten.flatten.using_ints: _flatten,
    aten.repeat.default: _repeat,
    aten.flip.default: _flip,
    aten.roll.default: _roll,
    aten._assert_tensor_metadata.default: _nothing,
    aten.clone.default: _same,
    aten.contiguous.default: _same,
    aten.alias.default: _same,
    aten.detach.default: _same,
    aten.dropout.default: _dropout,
    aten.lift_fresh_copy.default: _same,
}
