"""Adversarial training: cross entropy on the worst examples that an attack finds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from robustsuite import attacks
from robustsuite.arguments import check_callable
from robustsuite.perturbations import Perturbation
from robustsuite.training.data import Batch
from robustsuite.training.objective import Loss, Objective, Progress, check_threat
from robustsuite.training.schedules import Constant, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Adversarial(Objective):
    """Mean cross entropy at the attack's result. Source: Madry et al. 2018, equation 2.1.

    Args:
        perturbation: the threat model.
        attack: solves the inner maximisation, with the model in evaluation mode; it stops at no mistake.
        radius: factor on the perturbation's radius by epoch; a ramp eases the beginning.
    """

    perturbation: Perturbation
    attack: attacks.Attack = attacks.PGD(steps=7)
    radius: Schedule = Constant(1.0)

    def __post_init__(self) -> None:
        check_threat(self.perturbation, self.radius)
        check_callable(self.attack, "attack", "an attack such as attacks.PGD(steps=7)")

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        x, y = batch.x, batch.labels
        factor = self.radius(progress.epoch)
        if factor == 0:
            return Loss(total=functional.cross_entropy(model(x), y))
        clean = x.detach()

        def moves() -> Tensor:
            found = self.attack(
                model,
                clean,
                attacks.HighestLoss(y),
                self.perturbation.scaled(factor),
                generator=progress.seeds(batch.index, "attack"),
            )
            return found.adversarial - clean

        # Added as a constant, so that a gradient still reaches what made x (an embedding table).
        logits = model(x + progress.once(batch.index, moves))
        broken = (logits.detach().argmax(1) != y).float().mean()
        return Loss(total=functional.cross_entropy(logits, y), terms={"broken": broken})
