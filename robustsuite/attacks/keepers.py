"""What a search keeps of the rows that it tried: the first success, or the nearest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite.perturbations import Region


class Judged(NamedTuple):
    """What a keeper says of rows.

    Attributes:
        met: whether the row counts as a success.
        allowed: whether it may be shown as the best try; None: all rows.
        distance: among successes the smallest is kept; None: the first one.
    """

    met: Bool[Tensor, " rows"]
    allowed: Bool[Tensor, " rows"] | None = None
    distance: Float[Tensor, " rows"] | None = None


class Keeper(ABC):
    """Decides what of a search's rows is kept."""

    __slots__ = ()

    @abstractmethod
    def judge(self, region: Region, index: Tensor, inputs: Tensor, met: Tensor) -> Judged:
        """Judge rows.

        Args:
            region: of all examples.
            index: the example of each row.
            inputs: shape (rows, *input).
            met: whether they meet the criterion.
        """


class FirstSuccess(Keeper):
    """The first success ends an example. The attack's rows lie in the region by construction."""

    __slots__ = ()

    def judge(self, region: Region, index: Tensor, inputs: Tensor, met: Tensor) -> Judged:
        return Judged(met)


class Nearest(Keeper):
    """The nearest success is kept. Rows may lie outside the region: then they are no success.

    Where the radius is finite, the first success inside ends an example.
    """

    __slots__ = ()

    def judge(self, region: Region, index: Tensor, inputs: Tensor, met: Tensor) -> Judged:
        own = region.select(index)
        inside = own.contains(inputs, tolerance=0)
        return Judged(met & inside, inside, own.distance(inputs))


def best_rows(index: Tensor, met: Tensor, key: Tensor, count: int) -> Tensor:
    """Give the best row of each example: successes before others, then the larger key, then the earlier row.

    Args:
        index: the example of each row.
        met: whether it is a success.
        key: what decides among rows that are alike in this.
        count: of examples.

    Returns:
        Numbers of rows, at most one for each example.
    """
    if len(index) < 2 or bool((index[1:] > index[:-1]).all()):
        return torch.arange(len(index), device=index.device)
    rows = torch.arange(len(index), device=index.device)
    level = torch.zeros(count, dtype=torch.uint8, device=index.device)
    level = level.scatter_reduce(0, index, met.to(torch.uint8), "amax")
    rows = rows[met.to(torch.uint8) == level[index]]
    top = torch.full((count,), -torch.inf, dtype=key.dtype, device=key.device)
    top = top.scatter_reduce(0, index[rows], key[rows], "amax")
    rows = rows[key[rows] == top[index[rows]]]
    first = torch.full((count,), len(index), device=index.device)
    first = first.scatter_reduce(0, index[rows], rows, "amin")
    return first[first < len(index)]


def ranks(index: Int[Tensor, " rows"], count: int) -> Int[Tensor, " rows"]:
    """Give for each row how many of its example come before it.

    Args:
        index: the example of each row.
        count: of examples.
    """
    order = index.argsort(stable=True)
    ordered = index[order]
    place = torch.arange(len(index), device=index.device)
    first = torch.full((count,), len(index), device=index.device)
    first = first.scatter_reduce(0, ordered, place, "amin")
    rank = torch.empty_like(index)
    rank[order] = place - first[ordered]
    return rank
