"""Gradients that are no numbers: what stands in for them, so that an attack wanders on instead of standing still."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite import seeding
from robustsuite.perturbations.norms import flat

_STEEP = 1e15
"""Takes the place of an infinite gradient; its square is finite in float32."""


def with_numbers(
    gradient: Float[Tensor, "rows *input"], seeds: Int[Tensor, " rows"]
) -> tuple[Float[Tensor, "rows *input"], Bool[Tensor, " rows"]]:
    """Put numbers in the place of infinity and NaN.

    Args:
        gradient: of a batch.
        seeds: of the rows' random numbers.

    Returns:
        The gradient, where infinity is a large number and NaN a random one, at most the mean size of the others of its row;
        and which rows have no others (or none but 0): these hold random numbers alone.
    """
    steep = min(_STEEP, torch.finfo(gradient.dtype).max)
    rows = flat(gradient).nan_to_num(nan=torch.nan, posinf=steep, neginf=-steep)
    holes = rows.isnan()
    size = rows.abs().nanmean(1, keepdim=True).nan_to_num(nan=0.0, posinf=steep)
    noise = seeding.uniform(seeds, rows.shape[1], dtype=rows.dtype) * 2 - 1
    filled = torch.where(holes, noise * torch.where(size > 0, size, 1.0), rows)
    return filled.view_as(gradient), holes.any(1) & (size == 0).squeeze(1)
