"""Elementwise work in tiles of rows that stay in a CPU's cache.

A chain of elementwise operations on tensors larger than the cache costs one trip to memory each. Done tile by tile, the
chain costs one trip in all. On other devices a tile is everything.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

_BYTES = 2**19  # of a tensor's tile: some temporaries of it fit in a second-level cache


def row_tiles(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors of one length into tiles of rows, of about 512 KiB of the first one."""
    first = tensors[0]
    rows = max(1, len(first))
    if first.device.type == "cpu":
        rows = max(1, _BYTES * rows // max(1, first.numel() * first.element_size()))
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)


def is_one_tile(tensor: Tensor) -> bool:
    """Say whether a tensor is no larger than a tile."""
    return tensor.device.type != "cpu" or tensor.numel() * tensor.element_size() <= _BYTES
