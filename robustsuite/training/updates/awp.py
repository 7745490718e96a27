"""AWP: train at the weights' own worst case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace

import torch
from torch import Tensor, nn

from robustsuite.arguments import check_fields, check_kind
from robustsuite.training.objective import Findings
from robustsuite.training.update import Request, Running, Setting, Step, Update
from robustsuite.training.updates.wrapper import Wrapper


@dataclass(frozen=True, slots=True)
class AWP(Update):
    """Adversarial weight perturbation around any update: its gradients are taken where the loss is worse.

    Each weight matrix or kernel w_l moves by ``gamma ||w_l|| g_l / ||g_l||`` along the gradient g of the loss, the loss
    and its gradient are taken there with the same random numbers, and the move is undone. Biases and scales of norms
    (tensors of one axis) stay. An attack inside the objective runs once, at the weights before the move (see
    `Progress.once`): a step costs one gradient more than the update's own.

    Source: Wu, Xia and Wang 2020 (2004.05884), equations 7 to 10 and algorithm 1, one step of weight perturbation.

    Args:
        update: such as `Descent(Adversarial(...))`.
        gamma: size of the move relative to the weights, >= 0; the paper's is 5e-3.

    Raises:
        InvalidInput: a value outside its range.
    """

    update: Update
    _: KW_ONLY
    gamma: float = 5e-3

    def __post_init__(self) -> None:
        check_kind(self.update, Update, "update", "an update such as Descent(Standard())")
        check_fields(self, "gamma", least=0)

    def start(self, setting: Setting) -> Running:
        return _AWP(self.update.start(setting), self.gamma)


class _AWP(Wrapper):
    def __init__(self, inner: Running, gamma: float) -> None:
        super().__init__(inner)
        self._gamma = gamma

    def step(self, step: Step) -> dict[str, float]:
        def moved(request: Request, draw: int) -> dict[str, Tensor]:
            request = replace(request, findings=Findings())
            step.answer(replace(request, keep=False), draw)
            weights = [p for p in request.parameters if p.dim() > 1]
            before = [p.detach().clone() for p in weights]
            self._move(weights)
            try:
                return step.answer(request, draw)
            finally:
                with torch.no_grad():
                    for p, own in zip(weights, before, strict=True):
                        p.copy_(own)

        return self.inner.step(replace(step, answer=moved))

    @torch.no_grad()
    def _move(self, weights: Sequence[nn.Parameter]) -> None:
        for p in weights:
            if p.grad is not None:
                # A layer without gradient has no direction: it stays.
                p.add_(p.grad * (self._gamma * p.norm() / p.grad.norm().clamp(min=torch.finfo(p.dtype).tiny)))
