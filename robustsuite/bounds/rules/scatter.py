"""Writing into a tensor at constant places: scatter, assignments by index, and views of diagonals and windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.linear_form import Shape
from robustsuite.bounds.operations import LinearMap
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.arithmetic import add, multiply, scale
from robustsuite.bounds.rules.refusal import constant, refuse
from robustsuite.bounds.rules.shape import axis_after, expand, moved
from robustsuite.bounds.rules.table import Table, constant_like

aten = torch.ops.aten


def _positions(x: Ref | Tensor) -> Tensor:
    """Number the entries of a tensor for one example, in its shape."""
    return torch.arange(math.prod(x.shape)).view(tuple(x.shape))


def _placed(g: Program, x: Ref | Tensor, source: Tensor, target: Tensor, shape: Shape) -> Ref | Tensor:
    """Put the entries of `x` numbered `source` at the places `target` of a tensor of zeros, adding up what meets."""
    source, target = (t.flatten().to(constant_like(g)["device"]) for t in (source, target))
    size = math.prod(shape)

    def apply(t: Tensor) -> Tensor:
        zeros = t.new_zeros((len(t), size))
        picked = t.reshape(len(t), math.prod(t.shape[1:]))[:, source]
        return zeros.index_add(1, target, picked).view(len(t), *shape)

    if isinstance(x, Tensor):
        return apply(x.to(constant_like(g)["dtype"]).unsqueeze(0)).squeeze(0)
    apart = len(target.unique()) == len(target) and len(source.unique()) == len(source)
    return g.emit(LinearMap(apply, [x.shape], one_to_one=apart), x, shape=shape)


def write(
    g: Program,
    base: Ref | Tensor,
    target: Tensor,
    values: Ref | Tensor,
    source: Tensor,
    *,
    accumulate: bool,
) -> Ref:
    """Write entries of `values` into `base`.

    Args:
        target: flat positions in `base`.
        source: as many flat positions in `values`.
        accumulate: whether they are added to what stands there, or take its place.

    Raises:
        UnsupportedOperator: two values would take one place, in an order that torch leaves open.
    """
    target, source = target.flatten().cpu(), source.flatten().cpu()
    if not accumulate and len(target.unique()) < len(target):
        refuse(g, "index", "repeated", "each place once, as torch leaves open which value stays")
    shape = tuple(base.shape)
    written = _placed(g, values, source, target, shape)
    kept: Ref | Tensor = base
    if not accumulate:
        free = torch.ones(math.prod(shape), dtype=torch.bool)
        free[target] = False
        (rest,) = free.nonzero(as_tuple=True)
        kept = _placed(g, base, rest, rest, shape)
    return add(g, kept, written)


def _scattered(
    g: Program, x: Ref | Tensor, dim: int, index: Tensor, source: Ref | Tensor
) -> tuple[Tensor, Tensor]:
    """Give the flat positions that a scatter writes to, and those of `source` that it takes."""
    index = constant(g, "index", index).cpu()
    axis = dim % len(x.shape)
    corner = tuple(slice(0, n) for n in index.shape)
    places = torch.meshgrid(*(torch.arange(n) for n in index.shape), indexing="ij") if index.dim() else ()
    at = [index if i == axis else place for i, place in enumerate(places)]
    return _positions(x)[tuple(at)], _positions(source)[corner]


def _scatter(g: Program, x: Ref | Tensor, dim: int, index: Tensor, src: Ref | Tensor) -> Ref:
    target, source = _scattered(g, x, dim, index, src)
    return write(g, x, target, src, source, accumulate=False)


def _scatter_value(g: Program, x: Ref, dim: int, index: Tensor, value: float) -> Ref:
    filled = torch.full(tuple(constant(g, "index", index).shape), float(value), **constant_like(g))
    target, source = _scattered(g, x, dim, index, filled)
    target = target.unique()  # the same value may be written twice
    return write(g, x, target, filled, source.flatten()[: len(target)], accumulate=False)


def _scatter_add(g: Program, x: Ref | Tensor, dim: int, index: Tensor, src: Ref | Tensor) -> Ref:
    target, source = _scattered(g, x, dim, index, src)
    return write(g, x, target, src, source, accumulate=True)


def _scatter_by(
    g: Program, x: Ref | Tensor, dim: int, index: Tensor, src: Ref | Tensor, *, reduce: str
) -> Ref:
    if reduce == "add":
        return _scatter_add(g, x, dim, index, src)
    if reduce != "multiply":
        refuse(g, "reduce", reduce, "'add' or 'multiply'")
    target, source = _scattered(g, x, dim, index, src)
    ones = torch.ones(tuple(x.shape), **constant_like(g))
    return multiply(g, x, write(g, ones, target, src, source, accumulate=False))


def _scatter_reduce(
    g: Program,
    x: Ref | Tensor,
    dim: int,
    index: Tensor,
    src: Ref | Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Ref:
    if reduce not in ("sum", "mean"):
        refuse(g, "reduce", reduce, "'sum' or 'mean'")
    target, source = _scattered(g, x, dim, index, src)
    met = torch.zeros(math.prod(x.shape)).index_add(0, target.flatten(), torch.ones(target.numel()))
    met = met.view(tuple(x.shape)).to(**constant_like(g))
    base: Ref | Tensor = x
    if not include_self:
        keep = (met == 0).to(met.dtype)
        base = scale(g, x, keep) if isinstance(x, Ref) else x * keep
    result = write(g, base, target, src, source, accumulate=True)
    if reduce == "sum":
        return result
    return scale(g, result, 1 / (met + float(include_self)).clamp(min=1))


def _index_put(
    g: Program,
    x: Ref | Tensor,
    indices: Sequence[Any],
    values: Ref | Tensor,
    accumulate: bool = False,
) -> Ref:
    at = tuple(slice(None) if i is None else constant(g, "indices", i).cpu() for i in indices)
    target = _positions(x)[at]
    source = _positions(values).expand(target.shape)
    return write(g, x, target, values, source, accumulate=accumulate)


def _slice_scatter(
    g: Program,
    x: Ref | Tensor,
    src: Ref | Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Ref:
    axis = dim % len(x.shape)
    target = _positions(x)[(slice(None),) * axis + (slice(start, end, step),)]
    return write(g, x, target, src, _positions(src).expand(target.shape), accumulate=False)


def _select_scatter(g: Program, x: Ref | Tensor, src: Ref | Tensor, dim: int, index: int) -> Ref:
    target = _positions(x).select(dim, index)
    return write(g, x, target, src, _positions(src).expand(target.shape), accumulate=False)


def _diagonal_scatter(
    g: Program, x: Ref | Tensor, src: Ref | Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Ref:
    target = _positions(x).diagonal(offset, dim1, dim2)
    return write(g, x, target, src, _positions(src).expand(target.shape), accumulate=False)


def _copy(g: Program, x: Ref | Tensor, src: Ref | Tensor, non_blocking: bool = False) -> Ref | Tensor:
    """Give what an assignment leaves: the source, in the shape of what it is written to."""
    if isinstance(src, Ref):
        return expand(g, src, tuple(x.shape))
    return src.to(constant_like(g)["dtype"]).expand(tuple(x.shape))


def _diagonal(g: Program, x: Ref, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Ref:
    first, second = dim1 % len(x.shape), dim2 % len(x.shape)
    return moved(lambda t: t.diagonal(offset, first + 1, second + 1), one_to_one=True)(g, x)


def _windows(g: Program, x: Ref, dimension: int, size: int, step: int) -> Ref:
    return moved(lambda t: t.unfold(axis_after(dimension), size, step))(g, x)


def _pad_circular(g: Program, x: Ref, pad: Sequence[int]) -> Ref:
    def wrap(t: Tensor) -> Tensor:
        for place in range(len(pad) // 2):
            before, after, size = pad[2 * place], pad[2 * place + 1], t.shape[-1 - place]
            at = torch.arange(-before, size + after, device=t.device) % size
            t = t.index_select(-1 - place, at)
        return t

    return moved(wrap)(g, x)


def _sample(dims: int) -> Callable[..., Ref]:
    def rule(
        g: Program,
        x: Ref,
        grid: Tensor,
        interpolation_mode: int,
        padding_mode: int,
        align_corners: bool,
    ) -> Ref:
        """Resample images at constant points: linear, with weights that are not negative unless bicubic."""
        at = constant(g, "grid", grid)
        modes = {0: "bilinear", 1: "nearest"}
        if interpolation_mode not in modes:
            refuse(g, "interpolation_mode", interpolation_mode, "bilinear or nearest")
        paddings = {0: "zeros", 1: "border", 2: "reflection"}
        if padding_mode not in paddings:
            refuse(g, "padding_mode", padding_mode, "zeros, border or reflection")
        padding = paddings[padding_mode]

        def apply(t: Tensor) -> Tensor:
            points = at.to(t).unsqueeze(0).expand(len(t), *at.shape).flatten(0, 1)
            made = functional.grid_sample(
                t.flatten(0, 1), points, modes[interpolation_mode], padding, align_corners
            )
            return made.view(len(t), -1, *made.shape[1:])

        if not isinstance(x, Ref):
            refuse(g, "grid", grid, "constant points")
        shape = (*x.shape[:-dims], *at.shape[-dims - 1 : -1])
        return g.emit(LinearMap(apply, [x.shape]), x, shape=shape)

    return rule


TABLE: Table = {
    aten.scatter.src: _scatter,
    aten.scatter.value: _scatter_value,
    aten.scatter.reduce: _scatter_by,
    aten.scatter_add.default: _scatter_add,
    aten.scatter_reduce.two: _scatter_reduce,
    aten.index_put.default: _index_put,
    aten.slice_scatter.default: _slice_scatter,
    aten.select_scatter.default: _select_scatter,
    aten.diagonal_scatter.default: _diagonal_scatter,
    aten.copy.default: _copy,
    aten.diagonal.default: _diagonal,
    aten.unfold.default: _windows,
    aten._pad_circular.default: _pad_circular,
    aten.grid_sampler_2d.default: _sample(2),
    aten.grid_sampler_3d.default: _sample(3),
}
