"""Losses that attacks maximise: functions of (outputs, y) that give one number per example."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import InvalidInput

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Give the cross entropy of each example. Source: Madry et al. 2018, section 2.1."""
    return functional.cross_entropy(logits, y, reduction="none")


def margin(logits: Float[Tensor, "batch classes"], y: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    """Give the largest other logit minus the label's: positive exactly where the model is wrong.

    Source: Carlini and Wagner 2017, section V-A, f6 without the cut at 0.
    """
    label = logits.gather(1, y.unsqueeze(1)).squeeze(1)
    others = logits.scatter(1, y.unsqueeze(1), -torch.inf)
    return others.amax(1) - label


def difference_of_logits_ratio(
    logits: Float[Tensor, "batch classes"], y: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Give the margin divided by the gap between the largest and third largest logit.

    Unlike cross entropy it does not change when the logits are shifted or scaled. Needs three classes or more.
    Source: Croce and Hein 2020, equation 6.

    Raises:
        InvalidInput: fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise InvalidInput(
            f"difference_of_logits_ratio got {logits.shape[1]} classes; expected three or more: take losses.margin"
        )
    ordered = logits.topk(3, dim=1).values
    return margin(logits, y) / (ordered[:, 0] - ordered[:, 2]).clamp(min=1e-12)
