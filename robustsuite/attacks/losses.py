"""Losses that attacks raise: functions of (outputs, labels) that give one number per example.

A loss may be an object too. One that holds data of its examples (target classes, soft labels) has ``select(index)``, and
one that has a form of its own towards a wanted class gives it as ``toward(outputs, wanted)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import InvalidInput

RowLoss = Callable[[Tensor, Tensor], Tensor]


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

    Unlike cross entropy it does not change when the logits are shifted or scaled. Needs three classes or more; towards
    a wanted class `difference_of_logits_ratio_toward` is taken.
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


def difference_of_logits_ratio_toward(
    logits: Float[Tensor, "batch classes"], wanted: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Give how far the wanted class leads, divided by the gap between the largest and the mean of third and fourth logit.

    The gap does not close at the moment when the wanted class comes first, as that of the untargeted ratio may.
    Source: Croce and Hein 2020, equation 7, with the strongest other class in the place of the label.

    Raises:
        InvalidInput: fewer than four classes.
    """
    if logits.shape[1] < 4:
        raise InvalidInput(
            f"difference_of_logits_ratio towards a class got {logits.shape[1]} classes; expected four or more: take "
            "losses.margin"
        )
    ordered = logits.topk(4, dim=1).values
    gap = ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2
    return -margin(logits, wanted) / gap.clamp(min=1e-12)


def toward(loss: RowLoss) -> RowLoss:
    """Give what an attack raises towards a wanted class: the loss's own form for that, or its negative."""
    if loss is difference_of_logits_ratio:
        return difference_of_logits_ratio_toward
    own: RowLoss | None = getattr(loss, "toward", None)
    return own if own is not None else lambda outputs, wanted: -loss(outputs, wanted)


def select(loss: RowLoss, index: Tensor) -> RowLoss:
    """Keep the examples that `index` picks, where the loss holds data of its examples."""
    keep = getattr(loss, "select", None)
    kept: RowLoss = loss if keep is None else keep(index)
    return kept
