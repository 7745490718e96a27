"""FGSM: one gradient step to the border of the region."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite.attacks import losses
from robustsuite.attacks.criteria import Criterion, Misclassification, check_parts
from robustsuite.attacks.driver import AttackResult, Model, Search, checked_region, frozen_parameters
from robustsuite.perturbations import Perturbation


@dataclass(frozen=True, slots=True, kw_only=True)
class FGSM:
    """Fast gradient sign method; in other norms, one steepest step of the region's radius.

    Source: Goodfellow et al. 2015, section 4.

    Args:
        loss: what to maximise, from `robustsuite.attacks.losses` or any (outputs, y) -> (batch,).
        criterion: what counts as adversarial.
    """

    loss: losses.Loss = losses.cross_entropy
    criterion: Criterion = Misclassification()

    def __post_init__(self) -> None:
        check_parts(self.loss, self.criterion)

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "batch *input"],
        y: Int[Tensor, " batch"],
        perturbation: Perturbation,
        *,
        generator: torch.Generator | None = None,
    ) -> AttackResult:
        region = checked_region(model, x, perturbation)
        with frozen_parameters(model):
            search = Search(model, region.center, y, region, self.criterion)
            gradient = search.gradient(search.active(), region.center, self.loss)
            index = search.active()
            if len(index):
                inside = region.select(index)
                step = inside.project(inside.center + inside.ascent(gradient[index]))
                search.try_inputs(index, step, self.loss)
        return search.result()
