"""Certified training: a cross entropy that is proved for the whole region (IBP, CROWN-IBP)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import bounds
from robustsuite.arguments import check_callable, check_fields
from robustsuite.bounds import CrossEntropyMethod
from robustsuite.perturbations import Perturbation
from robustsuite.training.objective import Loss, Progress, check_threat
from robustsuite.training.schedules import Constant, Schedule, follow

_WEIGHTS = ("kappa_start", "kappa_end", "beta_start", "beta_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """CROWN-IBP training: ``kappa CE(f(x)) + (1 - kappa) (upper bound of the cross entropy on the region)``.

    The bound is ``beta CROWN-IBP + (1 - beta) IBP``. While the radius grows from 0, kappa and beta go from their
    starts to their ends in step with it. With ``beta_end=0`` training ends on IBP alone; with ``beta_start=0``
    too, it is IBP training throughout.

    Source: Zhang et al. 2020 (CROWN-IBP), equations 12 and 13; Gowal et al. 2018 for IBP; Xu et al. 2020
    (auto_LiRPA), section 3.3, for the fused loss.

    Args:
        perturbation: the threat model, at its full radius.
        radius: factor on the radius by epoch, from 0 to 1, such as `SmoothedRamp`.
        kappa_start, kappa_end: weights of the clean loss at radius 0 and at full radius, in [0, 1].
        beta_start, beta_end: weights of CROWN-IBP at radius 0 and at full radius, in [0, 1].
        bound: of the cross entropy: `bounds.margin_cross_entropy`, or `bounds.fused_cross_entropy`, whose cost
            does not grow with the number of classes.
    """

    perturbation: Perturbation
    radius: Schedule = Constant(1.0)
    kappa_start: float = 1.0
    kappa_end: float = 0.5
    beta_start: float = 1.0
    beta_end: float = 0.0
    bound: CrossEntropyMethod = bounds.margin_cross_entropy

    def __post_init__(self) -> None:
        check_fields(self, *_WEIGHTS, least=0, most=1)
        check_threat(self.perturbation, self.radius)
        check_callable(self.bound, "bound", "bounds.margin_cross_entropy or bounds.fused_cross_entropy")

    def __call__(
        self, model: nn.Module, x: Float[Tensor, "batch *input"], y: Int[Tensor, " batch"], progress: Progress
    ) -> Loss:
        factor = self.radius(progress.epoch)
        kappa = follow(factor, self.kappa_start, self.kappa_end)
        beta = follow(factor, self.beta_start, self.beta_end)
        # At weight 0 the clean loss is shown, and moves batch norm's statistics, but needs no gradient.
        counts = kappa > 0 or factor == 0
        with torch.set_grad_enabled(counts and torch.is_grad_enabled()):
            clean = functional.cross_entropy(model(x), y)
        if factor == 0:
            return Loss(total=clean)
        region = self.perturbation.scaled(factor).around(x)
        robust = self.bound(progress.graphs.of(model, x), region, y, beta=beta)
        worst, proved = robust.upper.mean(), robust.certified.float().mean()
        total = worst if kappa == 0 else kappa * clean + (1 - kappa) * worst
        return Loss(total=total, terms={"clean": clean, "robust": worst, "certified": proved})
