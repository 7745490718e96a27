"""Batch normalisation: one affine map per channel."""

from __future__ import annotations

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.arithmetic import scale
from robustsuite.bounds.rules.shape import shift
from robustsuite.bounds.rules.table import Table

aten = torch.ops.aten


def batch_norm(
    g: Program,
    x: Ref,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Ref, None, None]:
    """Normalise each channel (axis 1 of the example).

    In eval mode with the running statistics. While the traced module is in training mode, with those of the
    clean batch, as the module itself does: the clean pass and the bounds then see the same affine map.

    Source: Xu et al. 2020, section 4 (certified training with batch normalisation).
    """
    if g.training:
        clean = g.value(x).transpose(0, 2).flatten(1)  # channels first
        variance, mean = torch.var_mean(clean, 1, correction=0)
    factor = torch.rsqrt(variance + eps)
    if weight is not None:
        factor = factor * weight
    offset = -mean * factor if bias is None else bias - mean * factor
    space = (-1, *(1,) * (len(x.shape) - 2))
    scaled = scale(g, x, factor.view(space))
    return shift(g, scaled, offset.view(space)), None, None


TABLE: Table = {aten._native_batch_norm_legit_no_training.default: batch_norm}
