"""Certified training: a cross entropy that is proved for the whole region (IBP, CROWN-IBP)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from robustsuite import bounds
from robustsuite.arguments import check_callable
from robustsuite.bounds import CrossEntropyMethod
from robustsuite.perturbations import Perturbation
from robustsuite.training.data import Batch
from robustsuite.training.objective import Loss, Objective, Progress, check_threat
from robustsuite.training.schedules import Constant, Linear, Schedule, check_shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified(Objective):
    """CROWN-IBP training: ``kappa CE(f(x)) + (1 - kappa) (upper bound of the cross entropy on the region)``.

    The bound is ``beta CROWN-IBP + (1 - beta) IBP``. While the radius grows from 0, kappa and beta move in step with
    it. With a beta that ends at 0 training ends on IBP alone; with ``beta=Constant(0.0)`` it is IBP training throughout.

    Source: Zhang et al. 2020 (CROWN-IBP), equations 12 and 13; Gowal et al. 2018 for IBP; Xu et al. 2020
    (auto_LiRPA), section 3.3, for the fused loss.

    Args:
        perturbation: the threat model, at its full radius.
        radius: factor on the radius by epoch, from 0 to 1, such as `SmoothedRamp`.
        kappa: weight of the clean loss, in [0, 1], by the factor on the radius (not the epoch): at 0 before the ramp,
            at 1 after it.
        beta: weight of CROWN-IBP in the bound, in [0, 1], by the factor on the radius.
        bound: of the cross entropy: `bounds.margin_cross_entropy`, or `bounds.fused_cross_entropy`, whose cost
            does not grow with the number of classes.
    """

    perturbation: Perturbation
    radius: Schedule = Constant(1.0)
    kappa: Schedule = Linear(start=1.0, end=0.5, length=1.0)
    beta: Schedule = Linear(start=1.0, end=0.0, length=1.0)
    bound: CrossEntropyMethod = bounds.margin_cross_entropy

    def __post_init__(self) -> None:
        check_threat(self.perturbation, self.radius)
        check_shares("kappa", self.kappa)
        check_shares("beta", self.beta)
        check_callable(self.bound, "bound", "bounds.margin_cross_entropy or bounds.fused_cross_entropy")

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        x, y = batch.x, batch.labels
        factor = self.radius(progress.epoch)
        kappa, beta = self.kappa(factor), self.beta(factor)
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
