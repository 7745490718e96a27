"""Objectives and updates that the suite does not have (yet): they show that the form carries them as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import seeding
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.training import (
    SGD,
    Batch,
    Descent,
    Loss,
    Objective,
    PerExample,
    Progress,
    Request,
    Running,
    Setting,
    Standard,
    Step,
    Update,
    of_state,
)


@dataclass(frozen=True)
class Free(Objective):
    """Free adversarial training: the backward pass of the weights moves the kept perturbation of each example too."""

    eps: float

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        return PerExample(shift=torch.zeros(examples, 2))

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        assert isinstance(state, PerExample)
        kept = state.get_buffer("shift")
        shift = kept[batch.index].requires_grad_()
        shift.register_hook(lambda gradient: self._climb(kept, batch.index, gradient))
        return Loss(total=functional.cross_entropy(model(batch.x + shift), batch.y))

    def _climb(self, kept: Tensor, index: Tensor, gradient: Tensor) -> None:
        kept[index] = (kept[index] + self.eps * gradient.sign()).clamp(-self.eps, self.eps)


@dataclass(frozen=True)
class Replayed(Update):
    """The same batch several times, each with random numbers of its own."""

    update: Update
    times: int

    def start(self, setting: Setting) -> Running:
        return _InTurn([self.update.start(setting)] * self.times)


class _InTurn(Running):
    def __init__(self, updates: list[Running]) -> None:
        self._updates = updates

    def step(self, step: Step) -> dict[str, float]:
        found = [update.step(step.again(draw)) for draw, update in enumerate(self._updates)]
        return found[0]

    def checkpoint(self) -> Checkpoint:
        own = {f"update{place}": update.checkpoint() for place, update in enumerate(self._updates)}
        return checkpoints.join(**own)

    def restore(self, saved: Checkpoint) -> None:
        for place, update in enumerate(self._updates):
            update.restore(saved.part(f"update{place}"))


@dataclass(frozen=True)
class LearnedLabels(Objective):
    """Cross entropy with Dirichlet labels around a distribution that is learned, on noisy inputs."""

    sign: float = 1.0

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        return nn.ParameterDict({"beta": nn.Parameter(torch.ones(3))})

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        assert isinstance(state, nn.ParameterDict)
        certain = 10 * functional.one_hot(batch.labels, 3) + state["beta"].clamp(min=1e-3)
        noise = seeding.uniform(progress.seeds(batch.index, "noise").seeds, 2).float() - 0.5
        logits = model(batch.x + 0.1 * noise)
        return Loss(
            total=self.sign * functional.cross_entropy(logits, certain / certain.sum(1, keepdim=True))
        )


@dataclass(frozen=True)
class LabelAscent(Update):
    """Several descents of the weights, then one ascent of the labels' distribution, which they share."""

    objective: LearnedLabels
    times: int

    def start(self, setting: Setting) -> Running:
        state = setting.state(self.objective)
        descent = Descent(self.objective, optimizer=SGD(rate=0.05)).start(setting, state)
        rising = replace(self.objective, sign=-1.0)
        ascent = Descent(rising, optimizer=SGD(rate=0.05), parameters=of_state).start(setting, state)
        return _InTurn([descent] * self.times + [ascent])


def last_layer(model: nn.Module, state: nn.Module) -> list[nn.Parameter]:
    """Give the parameters that stand for an architecture's strengths."""
    return list(model.parameters())[-2:]


def first_layers(model: nn.Module, state: nn.Module) -> list[nn.Parameter]:
    """Give the others."""
    return list(model.parameters())[:-2]


@dataclass(frozen=True)
class Bilevel(Update):
    """The strengths' step on another batch (that of the step after), then the weights' step on this one."""

    weights: Objective
    strengths: Objective

    def start(self, setting: Setting) -> Running:
        outer = Descent(self.strengths, optimizer=SGD(rate=0.02), parameters=last_layer).start(setting)
        inner = Descent(self.weights, optimizer=SGD(rate=0.05), parameters=first_layers).start(setting)
        return _Bilevel([outer, inner])


class _Bilevel(_InTurn):
    def step(self, step: Step) -> dict[str, float]:
        strengths, weights = self._updates

        def on_the_next(request: Request, draw: int) -> dict[str, Tensor]:
            return step.answer(replace(request, batch=step.progress.batch(step.progress.step + 1)), draw)

        strengths.step(replace(step, answer=on_the_next))
        return weights.step(step)


@dataclass(frozen=True)
class LookAhead(Objective):
    """The loss on this batch and on the one after it."""

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        losses = [
            Standard()(model, part, progress, state).total
            for part in (batch, progress.batch(progress.step + 1))
        ]
        return Loss(total=sum(losses, start=torch.zeros(())))
