"""Elementwise work in tiles of rows that stay in a CPU's cache.

A chain of elementwise operations on tensors larger than the cache costs one trip to memory each. Done tile by tile, the
chain costs one trip in all. On other devices a tile is everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

_BYTES = 2**19  # of a tensor's tile: some temporaries of it fit in a second-level cache


def row_tiles(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors of one length into tiles of rows, of about 512 KiB of the first one."""
    first = tensors[0]
    if is_one_tile(first):
        return iter((tensors,))
    rows = max(1, _BYTES * len(first) // (first.numel() * first.element_size()))
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)


def form_tiles(
    forms: Sequence[Tensor], values: Sequence[Tensor]
) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """Cut tensors (rows, specs, ...), and with them tensors that broadcast against them, into tiles of rows.

    A single row is cut by its specs.
    """
    rows = len(forms[0])
    if rows != 1:
        own = [value.expand(rows, *value.shape[1:]) for value in values]
        for parts in row_tiles(*forms, *own):
            yield parts[: len(forms)], parts[len(forms) :]
    elif all(value.shape[1] == 1 for value in values):
        for parts in row_tiles(*(form[0] for form in forms)):
            yield [part.unsqueeze(0) for part in parts], values
    else:
        yield forms, values


def is_one_tile(tensor: Tensor) -> bool:
    """Say whether a tensor is no larger than a tile."""
    return tensor.device.type != "cpu" or tensor.numel() * tensor.element_size() <= _BYTES
