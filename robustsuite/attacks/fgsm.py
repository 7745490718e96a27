"""FGSM: one gradient step to the border of the region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from robustsuite.attacks import losses
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.criteria import check_loss
from robustsuite.attacks.search import Search


@dataclass(frozen=True, slots=True, kw_only=True)
class FGSM(Attack):
    """Fast gradient sign method; in other norms, one steepest step of the region's radius.

    Source: Goodfellow et al. 2015, section 4 (with cross entropy as the loss).

    Args:
        loss: what to raise, from `robustsuite.attacks.losses` or any (outputs, labels) -> (rows,); None: the
            criterion's score, which for labels is the margin.
    """

    access: ClassVar[Access] = Access.GRADIENTS

    loss: losses.RowLoss | None = None

    def __post_init__(self) -> None:
        check_loss(self.loss)

    def run(self, search: Search) -> None:
        search = search.steered(self.loss)
        index = search.active()
        inside = search.region.select(index)
        point = search.climbed(inside, index, inside.center, search.gradient(index, inside.center), 1.0)
        standing = search.open(index)
        if bool(standing.any()):
            search.scores(index[standing], point[standing])
