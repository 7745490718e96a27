"""TRADES: clean cross entropy, and how far the worst examples move the distribution of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import attacks, module_state
from robustsuite.arguments import check_fields, check_kind
from robustsuite.perturbations import Perturbation
from robustsuite.training.data import Batch
from robustsuite.training.objective import Loss, Objective, Progress, check_threat
from robustsuite.training.schedules import Constant, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class TRADES(Objective):
    """``CE(f(x), y) + beta KL(softmax f(x) || softmax f(x'))``, mean over the batch, x' by an attack on that divergence.

    The attack sees the model in evaluation mode; the loss is taken in training mode, and its gradient reaches both sides
    of the divergence. Labels count in the cross entropy alone: soft targets will do.

    Source: Zhang et al. 2019 (1901.08573), equation 5 and algorithm 1.

    Args:
        perturbation: the threat model.
        attack: solves the inner maximisation; it needs a random start, for the divergence is flat at x itself.
        radius: factor on the perturbation's radius by epoch; a ramp eases the beginning.
        beta: weight of the divergence (1 / lambda of the paper), >= 0; the authors take 6 for CIFAR-10.
    """

    perturbation: Perturbation
    attack: attacks.Attack = attacks.PGD(steps=10)
    radius: Schedule = Constant(1.0)
    beta: float = 6.0

    def __post_init__(self) -> None:
        check_threat(self.perturbation, self.radius)
        check_kind(self.attack, attacks.Attack, "attack", "an attack such as attacks.PGD(steps=10)")
        check_fields(self, "beta", least=0)

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        factor = self.radius(progress.epoch)
        logits = model(batch.x)
        natural = functional.cross_entropy(logits, batch.y)
        if factor == 0:
            return Loss(total=natural)
        clean = batch.x.detach()

        def moves() -> Tensor:
            with module_state.evaluating(model), torch.no_grad():
                reference = model(clean)
            found = self.attack(
                model,
                clean,
                attacks.Divergence(reference),
                self.perturbation.scaled(factor),
                generator=progress.seeds(batch.index, "attack"),
            )
            return found.adversarial - clean

        # Added as a constant, so that a gradient still reaches what made x (an embedding table).
        moved = model(batch.x + progress.once(batch.index, moves))
        divergence = functional.kl_div(
            moved.log_softmax(1), logits.log_softmax(1), reduction="batchmean", log_target=True
        )
        return Loss(
            total=natural + self.beta * divergence, terms={"natural": natural, "divergence": divergence}
        )
