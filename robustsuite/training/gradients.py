"""The gradient of an objective on a whole batch: over parts, over processes, with the step's own random numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from robustsuite import seeding
from robustsuite.arguments import check_kind
from robustsuite.attacks.models import NotANumber
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.training.data import Batch
from robustsuite.training.objective import Loss, Progress
from robustsuite.training.parallel import Workers
from robustsuite.training.state import Snapshot
from robustsuite.training.update import Request, diverged


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchGradients:
    """Answers requests on one batch. All randomness is a function of the seed, the step, the draw and the example.

    Attributes:
        batch: this process' part; where that is empty, the whole batch, which then counts nothing.
        progress: of the step.
        seed: of the training.
        workers: the processes.
        first: place of this process' first example in the whole batch.
        share: of the whole batch that this process has, in [0, 1].
    """

    batch: Batch
    progress: Progress
    seed: int
    workers: Workers
    first: int
    share: float

    def __call__(self, request: Request, draw: int) -> dict[str, Tensor]:
        batch = self.batch if request.batch is None else request.batch
        modules = (request.model, request.state)
        alone = self.workers.count == 1
        before = None if alone and request.keep else Snapshot(modules, batch.index)
        for parameter in request.parameters:
            parameter.grad = None
        scalars: dict[str, Tensor] = {}
        progress = self._progress(request, draw)
        request.model.train()
        with _standing(modules, request.parameters):
            offset = 0
            for part in _split(batch, request.parts):
                weight = len(part) / len(batch) * self.share
                with _dropout_stream(self.seed, self._path(draw, self.first + offset), self.workers.device):
                    loss = _loss(request, part, progress)
                (loss.total if weight == 1 else loss.total * weight).backward()
                for name, value in {"loss": loss.total, **loss.terms}.items():
                    value = value.detach().float() * weight
                    scalars[name] = scalars[name] + value if name in scalars else value
                offset += len(part)
        if not alone:
            scalars = self._add_up(request, scalars)
        if before is not None and request.keep:
            before.agree(self.workers, share=self.share)
        elif before is not None:
            before.restore()
        return scalars

    def _path(self, draw: int, first: int) -> tuple[str | int, ...]:
        return (self.progress.step, draw, first)

    def _progress(self, request: Request, draw: int) -> Progress:
        """Give the progress with the seed of what is drawn, and what was found before."""
        seed = seeding.derive(self.seed, "step", self.progress.step, draw)
        findings = None if request.findings is None else request.findings.again()
        return replace(self.progress, seed=seed, findings=findings)

    def _add_up(self, request: Request, scalars: dict[str, Tensor]) -> dict[str, Tensor]:
        """Sum gradients and scalars over the processes: each holds its share of the batch's mean."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in request.parameters]
        summed = self.workers.sum([*gradients, *scalars.values()])
        for parameter, gradient in zip(request.parameters, summed, strict=False):
            parameter.grad = gradient
        return dict(zip(scalars, summed[len(gradients) :], strict=True))


def _split(batch: Batch, parts: int) -> Iterator[Batch]:
    if parts == 1:
        yield batch
        return
    for rows in torch.arange(len(batch)).tensor_split(parts):
        if len(rows):
            yield batch.select(slice(int(rows[0]), int(rows[-1]) + 1))


def _loss(request: Request, batch: Batch, progress: Progress) -> Loss:
    """Call an objective.

    Raises:
        TrainingDiverged: the model gives NaN.
        InvalidInput: a label that the model has no output for, one example for batch norm, or no loss.
    """
    try:
        # A copy, for a model may change its input in place, and an update may ask twice.
        own = replace(batch, x=batch.x.clone())
        loss = request.objective(request.model, own, progress, request.state)
    except NotANumber:
        raise diverged(progress.step, "the model's output", math.nan) from None
    except ValueError as error:
        if isinstance(error, RobustsuiteError) or "more than 1 value per channel" not in str(error):
            raise
        raise InvalidInput(
            f"batch norm takes the statistics of a batch, and a part of one that it is worked on in holds {len(batch)}; "
            "expected two examples or more: take another batch_size, or fewer parts (accumulate)"
        ) from None
    except IndexError as error:  # torch's own word for a label out of range, on the CPU
        reason = (str(error).splitlines() or [""])[0]
        raise InvalidInput(
            f"the objective cannot use labels in [{int(batch.y.min())}, {int(batch.y.max())}] ({reason}); expected "
            "indices of the model's outputs"
        ) from error
    check_kind(loss, Loss, "what the objective gives", "a Loss(total=...)")
    return loss


@contextmanager
def _standing(modules: tuple[nn.Module, ...], parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Keep all parameters but these out of the graph, so that no gradient is computed for them."""
    moving = {id(parameter) for parameter in parameters}
    standing = [
        p for module in modules for p in module.parameters() if p.requires_grad and id(p) not in moving
    ]
    for p in standing:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in standing:
            p.requires_grad_(True)


@contextmanager
def _dropout_stream(seed: int, path: tuple[str | int, ...], device: torch.device) -> Iterator[None]:
    """Give the global generators, from which dropout draws, a stream of their own; then put them back."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        own = seeding.derive(seed, "dropout", *path)
        torch.default_generator.manual_seed(own)
        if cuda:
            torch.cuda.manual_seed(own)
        yield
