"""Transposed 2d convolutions of many images, by the cheapest way for their shape.

Backward passes end in the few channels of an input image, for which the library's kernels are not made.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]
_MANY = 4  # entries of the images for each one of the kernel


def channels_last(images: Tensor, weight: Tensor) -> Tensor:
    """Lay images out with the channels last in memory: on a CPU, convolutions of many are up to twice as fast so.

    Of few images the kernel is the larger part, and turning it costs more than it brings.
    """
    if images.dim() != 4 or images.device.type != "cpu" or images.numel() < _MANY * weight.numel():
        return images
    if images.shape[1] == 1:  # both layouts are one then; the strides say which is meant
        size = images.shape
        return images.contiguous().as_strided(size, (size[2] * size[3], 1, size[3], 1))
    return images.contiguous(memory_format=torch.channels_last)


def has_shortcut(weight: Tensor, stride: Pair, dilation: Pair, groups: int) -> bool:
    """Say whether `transposed_convolution` knows a cheaper way than the library's."""
    return groups == 1 and (_few_channels(weight) or _in_blocks(weight, stride, dilation))


def transposed_convolution(
    images: Tensor, weight: Tensor, *, stride: Pair, dilation: Pair, groups: int
) -> Tensor:
    """Apply a transposed convolution without padding.

    Args:
        images: shape (count, inner, height, width).
        weight: shape (inner, outer / groups, kernel height, kernel width).
        stride, dilation, groups: as for `torch.nn.functional.conv_transpose2d`.

    Returns:
        Shape (count, outer, (height - 1) * stride + dilation * (kernel height - 1) + 1, ...).
    """
    if groups == 1 and _few_channels(weight):
        return _by_matrix(images, weight, stride, dilation)
    images = channels_last(images, weight)
    if groups == 1 and _in_blocks(weight, stride, dilation):
        return _by_blocks(images, weight, stride)
    return functional.conv_transpose2d(images, weight, None, stride, 0, 0, groups, dilation)


def _few_channels(weight: Tensor) -> bool:
    inner, outer, *kernel = weight.shape
    return outer * math.prod(kernel) <= inner


def _by_matrix(images: Tensor, weight: Tensor, stride: Pair, dilation: Pair) -> Tensor:
    """Multiply each pixel with the kernel, then add the products up where they land."""
    inner, outer, *kernel = weight.shape
    count, _, *size = images.shape
    pixels = images.permute(0, 2, 3, 1).reshape(-1, inner)
    products = weight.permute(1, 2, 3, 0).reshape(-1, inner) @ pixels.t()
    products = products.view(outer, *kernel, count, *size)
    steps = [(n - 1) * s + 1 for n, s in zip(size, stride, strict=True)]
    after = [n + d * (k - 1) for n, d, k in zip(steps, dilation, kernel, strict=True)]
    whole = images.new_zeros(outer, count, *after)
    for y, x in itertools.product(*map(range, kernel)):
        rows = slice(y * dilation[0], y * dilation[0] + steps[0], stride[0])
        columns = slice(x * dilation[1], x * dilation[1] + steps[1], stride[1])
        whole[:, :, rows, columns] += products[:, y, x]
    return whole.transpose(0, 1)


def _in_blocks(weight: Tensor, stride: Pair, dilation: Pair) -> bool:
    _, outer, *kernel = weight.shape
    divides = all(k % s == 0 for k, s in zip(kernel, stride, strict=True))
    return stride[0] == stride[1] > 1 and divides and dilation == (1, 1) and outer < 16


def _by_blocks(images: Tensor, weight: Tensor, stride: Pair) -> Tensor:
    """Give each block of stride x stride pixels as channels, which takes a stride of 1, and lay the blocks out."""
    inner, outer, high, wide = weight.shape
    side = stride[0]
    split = weight.view(inner, outer, high // side, side, wide // side, side).permute(0, 1, 3, 5, 2, 4)
    kernel = split.reshape(inner, outer * side * side, high // side, wide // side)
    return functional.pixel_shuffle(functional.conv_transpose2d(images, kernel), side)
