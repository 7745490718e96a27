"""Certified training: cross entropy of margins that are proved for the whole region (IBP, CROWN-IBP)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import bounds
from robustsuite.bounds import Graph
from robustsuite.errors import InvalidInput
from robustsuite.perturbation import Perturbation, Region
from robustsuite.training.objective import Loss, Progress
from robustsuite.training.schedules import Constant, Schedule, follow

_WEIGHTS = ("kappa_start", "kappa_end", "beta_start", "beta_end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """CROWN-IBP training: ``kappa CE(f(x)) + (1 - kappa) CE(-lower bounds of the margins, 0 for the label)``.

    The margins' lower bounds are ``beta CROWN-IBP + (1 - beta) IBP``. While the radius grows from 0, kappa and
    beta go from their starts to their ends in step with it. With ``beta_end=0`` training ends on IBP alone;
    with ``beta_start=0`` too, it is IBP training throughout.

    Source: Zhang et al. 2020 (CROWN-IBP), equations 12 and 13; Gowal et al. 2018 for IBP.

    Args:
        perturbation: the threat model, at its full radius.
        radius: factor on the radius by epoch, from 0 to 1, such as `SmoothedRamp`.
        kappa_start, kappa_end: weights of the clean loss at radius 0 and at full radius, in [0, 1].
        beta_start, beta_end: weights of CROWN-IBP at radius 0 and at full radius, in [0, 1].
    """

    perturbation: Perturbation
    radius: Schedule = Constant(1.0)
    kappa_start: float = 1.0
    kappa_end: float = 0.5
    beta_start: float = 1.0
    beta_end: float = 0.0

    def __post_init__(self) -> None:
        weights = {name: getattr(self, name) for name in _WEIGHTS}
        wrong = [f"{name} is {value}" for name, value in weights.items() if not 0 <= value <= 1]
        if wrong:
            raise InvalidInput(f"{', '.join(wrong)}; expected weights in [0, 1]")

    def __call__(
        self, model: nn.Module, x: Float[Tensor, "batch *input"], y: Int[Tensor, " batch"], progress: Progress
    ) -> Loss:
        factor = self.radius(progress.epoch)
        kappa = follow(factor, self.kappa_start, self.kappa_end)
        beta = follow(factor, self.beta_start, self.beta_end)
        logits = model(x)
        clean = functional.cross_entropy(logits, y)
        if factor == 0:
            return Loss(total=clean)
        graph = progress.graphs.of(model, x)
        region = self.perturbation.scaled(factor).around(x)
        lower = _lower_margins(graph, region, bounds.margins(logits.shape[1], y), beta)
        robust = robust_cross_entropy(lower)
        proved = (lower.detach() > 0).all(1).float().mean()
        terms = {"clean": clean, "robust": robust, "certified": proved}
        return Loss(total=kappa * clean + (1 - kappa) * robust, terms=terms)


def robust_cross_entropy(lower: Float[Tensor, "batch others"]) -> Float[Tensor, ""]:
    """Give the mean cross entropy of the logits ``(0 for the label, -lower)``: an upper bound of the true one.

    Args:
        lower: lower bounds of the margins between the label's logit and each other one.

    Source: Wong and Kolter 2018, theorem 2; Zhang et al. 2020, equation 13.
    """
    worst = torch.cat([torch.zeros_like(lower[:, :1]), -lower], dim=1)
    return functional.cross_entropy(worst, torch.zeros(len(lower), dtype=torch.long, device=lower.device))


def _lower_margins(graph: Graph, region: Region, margins: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return bounds.ibp(graph, region, objective=margins, upper=False).lower
    if beta == 1:
        return bounds.crown_ibp(graph, region, objective=margins, upper=False).lower
    tight = bounds.crown_ibp(graph, region, objective=margins, upper=False).lower
    return beta * tight + (1 - beta) * bounds.ibp(graph, region, objective=margins, upper=False).lower
