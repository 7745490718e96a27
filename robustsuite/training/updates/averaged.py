"""Averaged weights: what is validated and saved is a mean over the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Tensor, nn

from robustsuite.arguments import check_fields, check_kind
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.training.update import Running, Setting, Step, Update
from robustsuite.training.updates.wrapper import Wrapper


@dataclass(frozen=True, slots=True)
class Averaged(Update):
    """Keep a mean of the weights beside any update; training itself does not change.

    After n steps since `begin` the mean m moves to ``d m + (1 - d) w`` with d = min(decay, n / (n + 1)): at first an
    equal mean, so that the initial weights do not linger, then an exponential one. Buffers (statistics of batch norm)
    are averaged alike; integers are taken as they are.

    Source: Polyak and Juditsky 1992 (decay 1: an equal mean over steps; Izmailov et al. 2018 over epochs); for
    adversarial training Gowal et al. 2020 (2010.03593), section 4.3.

    Args:
        update: such as `Descent(Standard())`.
        decay: of the mean per step, in [0, 1].
        begin: the epoch from which on weights are averaged, >= 0; before it the model's own count.

    Raises:
        InvalidInput: a value outside its range.
    """

    update: Update
    _: KW_ONLY
    decay: float = 0.995
    begin: float = 0.0

    def __post_init__(self) -> None:
        check_kind(self.update, Update, "update", "an update such as Descent(Standard())")
        check_fields(self, "decay", least=0, most=1)
        check_fields(self, "begin", least=0)

    def start(self, setting: Setting) -> Running:
        return _Averaged(self.update.start(setting), setting.model, self)


class _Averaged(Wrapper):
    def __init__(self, inner: Running, model: nn.Module, settings: Averaged) -> None:
        super().__init__(inner)
        self._model, self._settings = model, settings
        self._mean: dict[str, Tensor] = {}
        self._count = 0

    @torch.no_grad()
    def step(self, step: Step) -> dict[str, float]:
        with torch.enable_grad():
            found = self.inner.step(step)
        if step.progress.epoch >= self._settings.begin:
            decay = min(self._settings.decay, self._count / (self._count + 1))
            for name, now in self._model.state_dict().items():
                if name in self._mean and now.is_floating_point():
                    self._mean[name].lerp_(now, 1 - decay)
                else:
                    self._mean[name] = now.detach().clone()
            self._count += 1
        return found

    def weights(self) -> Mapping[str, Tensor] | None:
        return self._mean if self._count else super().weights()

    def own(self) -> Checkpoint:
        return Checkpoint(tensors=dict(self._mean), state={"count": self._count})

    def restore_own(self, saved: Checkpoint) -> None:
        device = next(self._model.parameters()).device
        self._mean = {name: value.to(device) for name, value in saved.tensors.items()}
        self._count = int(saved.state["count"])
