"""CAT: customised adversarial training, with a radius and a soft label for each example."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import attacks, module_state, seeding
from robustsuite.arguments import check_fields, check_flags, check_kind
from robustsuite.perturbations import Perturbation
from robustsuite.training.data import Batch
from robustsuite.training.objective import Loss, Objective, Progress, check_threat
from robustsuite.training.schedules import Constant, Schedule
from robustsuite.training.state import PerExample


@dataclass(frozen=True, slots=True, kw_only=True)
class CAT(Objective):
    """Cross entropy with soft labels at an attack's result, each example in a region of its own radius.

    An example's radius r starts at 0. In each visit the attack runs at ``min(r + eta, largest)``; where the model is still
    right there, that is the new radius, else the example keeps r. Its label is ``(1 - c r) y + c r d`` with d drawn from
    Dirichlet(1, ..., 1) in each visit: the larger the radius, the softer. The attack and the decision see the model in
    evaluation mode, so that neither depends on which examples share the batch. The attack raises the cross entropy of the
    hard label: that of a soft one is also raised by more confidence, which breaks nothing.

    Figures of this method by PGD alone are too good (soft labels hide gradients): measure it with other attacks too.

    Source: Cheng et al. 2020 (2002.06789), algorithm 1 and section 3; IJCAI 2022.

    Args:
        perturbation: the threat model at the largest radius.
        attack: solves the inner maximisation.
        radius: factor on the largest radius by epoch.
        eta: how much a radius grows in a visit, >= 0, in the perturbation's units.
        c: softness per unit of radius, >= 0; c r counts at most as 1.
        kappa: adds ``max(largest other logit - label's logit, -kappa)`` to the loss (the paper's mixed loss), >= 0; None:
            cross entropy alone.
        decrease: whether a radius at which the example is not held shrinks by eta; the paper's never do.
    """

    perturbation: Perturbation
    attack: attacks.Attack = attacks.PGD(steps=10)
    radius: Schedule = Constant(1.0)
    eta: float = 0.005
    c: float = 10.0
    kappa: float | None = None
    decrease: bool = False

    def __post_init__(self) -> None:
        check_threat(self.perturbation, self.radius)
        check_kind(self.attack, attacks.Attack, "attack", "an attack such as attacks.PGD(steps=10)")
        check_fields(self, "eta", "c", least=0)
        check_fields(self, "kappa", least=0, optional=True)
        check_flags(self, "decrease")

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        return PerExample(radius=torch.zeros(examples))

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        factor = self.radius(progress.epoch)
        x, y = batch.x, batch.labels
        if factor == 0:
            logits = model(x)
            return Loss(total=self._loss(logits, y, torch.zeros_like(logits[:, 0]), torch.zeros_like(logits)))
        clean, radii = x.detach(), state.get_buffer("radius")
        region = self.perturbation.around(clean)
        now = radii[batch.index].to(x.dtype)
        trial = torch.minimum(now + self.eta, factor * region.radius)

        def search() -> tuple[Tensor, Tensor]:
            with module_state.evaluating(model):
                found = self.attack.within(
                    model,
                    attacks.HighestLoss(y),
                    region.resized(trial),
                    generator=progress.seeds(batch.index, "attack"),
                )
                with torch.no_grad():
                    return found.adversarial - clean, model(found.adversarial).argmax(1) == y

        moves, held = progress.once(batch.index, search)
        lost = (now - self.eta).clamp(min=0) if self.decrease else now
        kept = torch.where(held, trial, torch.minimum(lost, trial))
        radii[batch.index] = kept.to(radii.dtype)
        # Added as a constant, so that a gradient still reaches what made x (an embedding table).
        logits = model(x + moves)
        drawn = _dirichlet(progress.seeds(batch.index, "labels").seeds, logits.shape[1]).to(logits.dtype)
        total = self._loss(logits, y, kept, drawn)
        return Loss(total=total, terms={"radius": kept.mean(), "held": held.to(x.dtype).mean()})

    def _loss(self, logits: Tensor, y: Tensor, radii: Tensor, drawn: Tensor) -> Tensor:
        share = (self.c * radii).clamp(max=1.0).unsqueeze(1)
        targets = (1 - share) * functional.one_hot(y, drawn.shape[1]).to(drawn.dtype) + share * drawn
        loss = functional.cross_entropy(logits, targets)
        if self.kappa is None:
            return loss
        return loss + attacks.losses.margin(logits, y).clamp(min=-self.kappa).mean()


def _dirichlet(seeds: Int[Tensor, " batch"], classes: int) -> Float[Tensor, "batch classes"]:
    """Draw from Dirichlet(1, ..., 1): exponential numbers, divided by their sum."""
    exponential = -seeding.uniform(seeds, classes).log()
    return exponential / exponential.sum(1, keepdim=True)
