"""How far the distribution of classes lies from another one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_kind, check_number, described
from robustsuite.attacks.criteria.criterion import BatchCriterion, need_scores
from robustsuite.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class Divergence(BatchCriterion):
    """The distribution of classes lies far from a reference's, whatever the labels.

    The score is ``KL(softmax(reference) || softmax(outputs))`` in nats, as in TRADES; its gradient is zero at the
    reference itself, so that attacks need a random start.

    Args:
        reference: logits, shape (batch, classes).
        threshold: met above it, >= 0; None: never met.

    Source: Zhang et al. 2019, equation 5.
    """

    reference: Tensor
    threshold: float | None = None

    def __post_init__(self) -> None:
        expected = "logits of shape (batch, classes)"
        check_kind(self.reference, Tensor, "reference", expected)
        if self.reference.dim() != 2 or not self.reference.is_floating_point():
            raise InvalidInput(f"reference is {described(self.reference)}; expected {expected}")
        check_number("threshold", self.threshold, least=0, optional=True)

    def met(self, outputs: Tensor) -> Bool[Tensor, " rows"]:
        if self.threshold is None:
            return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
        return self.score(outputs.detach()) > self.threshold

    def score(self, outputs: Tensor) -> Float[Tensor, " rows"]:
        wanted, given = self.reference.detach().log_softmax(1), outputs.log_softmax(1)
        # A class that the reference rules out (a masked logit, -inf) adds nothing.
        return torch.where(wanted.isneginf(), 0.0, wanted.exp() * (wanted - given)).sum(1)

    def select(self, index: Tensor) -> Divergence:
        return Divergence(self.reference[index], self.threshold)

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.reference) != count or self.reference.device != device:
            raise InvalidInput(
                f"reference is {described(self.reference)} on {self.reference.device}; expected logits for {count} "
                f"examples on {device}"
            )

    def check_outputs(self, outputs: Tensor) -> None:
        need_scores(self, outputs)
        if outputs.shape[1] != self.reference.shape[1]:
            raise InvalidInput(
                f"reference has {self.reference.shape[1]} classes and the model gives {outputs.shape[1]}; expected the "
                "logits of a model with the same classes"
            )
