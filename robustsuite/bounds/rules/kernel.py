"""Convolutions with a perturbed kernel: each patch of the image times the kernel, as a product of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.linear_form import Shape
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.linear import matmul
from robustsuite.bounds.rules.shape import moved, permute, reshape


def convolve_with(
    g: Program,
    x: Ref | Tensor,
    weight: Ref,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Ref:
    """Convolve `x`, of shape (*lead, channels, *space) for one example, with a perturbed kernel.

    Arguments as in `torch.nn.functional.conv2d`, one number for each axis of space.
    """
    ends = [p for pad in reversed(padding) for p in (pad, pad)]
    return _product(g, x, weight, ends, (1,) * len(stride), stride, dilation, groups)


def convolve_transposed_with(
    g: Program,
    x: Ref | Tensor,
    weight: Ref,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Ref:
    """Apply a transposed convolution with a perturbed kernel: zeros between the pixels, then a plain one."""
    size = weight.shape[2:]
    ends = []
    for s, p, o, d in reversed(list(zip(size, padding, output_padding, dilation, strict=True))):
        ends += [d * (s - 1) - p, d * (s - 1) - p + o]
    inner, outer = weight.shape[0] // groups, weight.shape[1]
    turned = moved(lambda t: t.flip(list(range(3, t.dim()))), one_to_one=True)(g, weight)
    split = reshape(g, turned, (groups, inner, outer, *size))
    order = (0, 2, 1, *range(3, 3 + len(size)))
    plain = reshape(g, permute(g, split, order), (groups * outer, inner, *size))
    return _product(g, x, plain, ends, stride, (1,) * len(size), dilation, groups)


def _product(
    g: Program,
    x: Ref | Tensor,
    weight: Ref,
    ends: Sequence[int],
    apart: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Ref:
    """Multiply patches with the kernel.

    Args:
        x: image, its pixels set `apart` by zeros (1: as they are), then padded by `ends` (as `functional.pad` takes it).
        weight: shape (out, channels / groups, *size).
    """
    out, each, *size = weight.shape
    dims = len(size)
    lead: Shape = tuple(x.shape[: -dims - 1])
    space = [
        (n - 1) * a + 1 + low + high
        for n, a, low, high in zip(x.shape[-dims:], apart, ends[-2::-2], ends[::-2], strict=True)
    ]
    after = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(space, size, stride, dilation, strict=True)]
    index = _patches(space, size, after, stride, dilation)

    def patches(t: Tensor) -> Tensor:
        rows = len(t)
        if any(count > 1 for count in apart):
            spread = [(n - 1) * a + 1 for n, a in zip(t.shape[-dims:], apart, strict=True)]
            (at,) = _patches(spread, (1,) * dims, t.shape[-dims:], apart, (1,) * dims)
            zeros = t.new_zeros((*t.shape[:-dims], math.prod(spread)))
            t = zeros.index_copy(-1, at.to(t.device), t.flatten(-dims)).unflatten(-1, spread)
        flat = functional.pad(t, list(ends)).flatten(-dims)
        picked = flat[..., index.to(t.device)]  # rows, *lead, channels, kernel entries, positions
        return picked.reshape(rows, *lead, groups, each * index.shape[0], index.shape[1])

    columns = moved(patches)(g, x) if isinstance(x, Ref) else patches(x.unsqueeze(0)).squeeze(0)
    matrices = reshape(g, weight, (groups, out // groups, each * math.prod(size)))
    return reshape(g, matmul(g, matrices, columns), (*lead, out, *after))


def _patches(
    space: Sequence[int],
    size: Sequence[int],
    after: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Give the flat pixel that each kernel entry meets at each position, shape (kernel entries, positions)."""
    index = torch.zeros((1, 1), dtype=torch.long)
    for n, k, a, s, d in zip(space, size, after, stride, dilation, strict=True):
        here = torch.arange(k).unsqueeze(1) * d + torch.arange(a) * s
        index = (index[:, None, :, None] * n + here[None, :, None, :]).flatten(2).flatten(0, 1)
    return index
