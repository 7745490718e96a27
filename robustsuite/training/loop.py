"""The one training loop: any objective, any model, resumable to the bit.

All randomness of a step (the order of the data, an attack's starts, dropout) is a function of the seed and the step's
number, so that a run that was killed continues exactly from what its last checkpoint holds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustsuite import seeding
from robustsuite.arguments import (
    check_callable,
    check_device,
    check_fields,
    check_kind,
    check_labels,
    check_number,
)
from robustsuite.attacks.models import NotANumber
from robustsuite.errors import CheckpointError, InvalidInput, TrainingDiverged
from robustsuite.perturbations.features import check_batch
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.runs.run import Run
from robustsuite.training import parallel
from robustsuite.training.objective import Graphs, Loss, Objective, Progress
from robustsuite.training.optimizers import Adam, Optimizer
from robustsuite.training.schedules import Constant, Schedule

TRAINING_FILE, MODEL_FILE = "training.safetensors", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long and in which steps to train.

    Args:
        epochs: passes over the data, >= 1.
        batch_size: examples per update, over all processes; an epoch's batches are equal to within one example.
        optimizer: such as `Adam(rate=1e-3)`.
        rate_schedule: factor on the optimiser's learning rate by epoch.
        gradient_norm: longer gradients are cut to this L2 norm; None cuts nothing.
        checkpoint_steps: updates between checkpoints, >= 1; None counts seconds only.
        checkpoint_seconds: seconds between checkpoints, >= 0.
        log_steps: updates between logged scalars, >= 1.
        validate_epochs: epochs between validations, where there is one, >= 1.
        keep_best_from: the epoch from which on the best validated weights are kept (after the ramp of a radius), >= 0.

    Raises:
        InvalidInput: a value outside its range.
    """

    epochs: int
    batch_size: int = 128
    optimizer: Optimizer = Adam()
    rate_schedule: Schedule = Constant(1.0)
    gradient_norm: float | None = None
    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 30.0
    log_steps: int = 20
    validate_epochs: int = 1
    keep_best_from: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "epochs", "batch_size", "log_steps", "validate_epochs", integer=True, least=1)
        check_fields(self, "checkpoint_steps", integer=True, least=1, optional=True)
        check_fields(self, "checkpoint_seconds", "keep_best_from", least=0, endless=True)
        check_fields(self, "gradient_norm", above=0, optional=True)
        check_callable(self.optimizer, "optimizer", "an optimiser such as Adam(rate=1e-3)")
        check_callable(self.rate_schedule, "rate_schedule", "a schedule such as Constant(1.0)")


@dataclass(slots=True)
class _Position:
    """Where training is, and the best weights so far."""

    step: int = 0
    best_value: float = -math.inf
    best: Mapping[str, Tensor] | None = None


def fit(
    model: nn.Module,
    objective: Objective,
    x: Float[Tensor, "n *input"] | Int[Tensor, "n *input"],
    y: Int[Tensor, " labels"],
    *,
    training: Training,
    run: Run,
    seed: int,
    device: torch.device | str = "cpu",
    validate: Callable[[nn.Module], float] | None = None,
) -> nn.Module:
    """Train `model` in place and give it back in evaluation mode; save its weights as ``model.safetensors``.

    Under ``accelerate launch`` (or torchrun) each process works on its part of every batch, on its own device, and
    gradients are averaged: any objective profits, also one that does not call the module's forward.

    Args:
        model: on any device; moved to `device`.
        objective: what to minimise.
        x, y: all examples and their labels; batches are moved to `device` one by one.
        training: epochs, batches, optimiser.
        run: gets checkpoints, scalars and progress; with ``run.resume``, training continues from its checkpoint.
        seed: of the order of the data, of attacks and of dropout, >= 0.
        device: "cpu", "cuda", ...; each process takes its own where there are several.
        validate: gives a number (higher is better) for the model in evaluation mode; the best weights are kept.

    Raises:
        TrainingDiverged: a loss, a term or the gradient is NaN or infinite; the message names the step and the term.
        CheckpointError: the checkpoint to resume from is damaged or of another training.
        InvalidInput: there are no examples, or not one label for each.
    """
    check_kind(model, nn.Module, "model", "a torch.nn.Module")
    check_callable(objective, "objective", "a training objective such as Standard()")
    check_kind(training, Training, "training", "a Training(epochs=...)")
    check_kind(run, Run, "run", "a Run, such as Run.scratch()")
    check_number("seed", seed, integer=True, least=0)
    check_device(device)
    check_batch(x, "x")
    check_batch(y, "y")
    if len(x) == 0 or y.shape != (len(x),):
        raise InvalidInput(
            f"got {len(x)} examples and labels of shape {tuple(y.shape)}; expected one label for each, at least one"
        )
    check_labels(y, len(x))
    check_examples(x, y)
    workers = parallel.workers(device)
    model.to(workers.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise InvalidInput(
            "the model has no parameters that require a gradient; expected at least one to train"
        )
    optimizer = training.optimizer(trained)
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    per_epoch = math.ceil(len(x) / training.batch_size)
    steps = per_epoch * training.epochs
    identity = {"seed": seed, "steps": steps, "examples": len(x)}
    position, file, graphs = _Position(), run.checkpoints / TRAINING_FILE, Graphs()
    if run.resume and file.exists():
        position = _restore(file, model, optimizer, identity)
    saved_at = time.monotonic()
    with run.progress("training", total=steps) as bar:
        bar.to(position.step)
        while position.step < steps:
            step = position.step
            progress = Progress(
                step=step,
                steps=steps,
                steps_per_epoch=per_epoch,
                generator=seeding.generator(seed, "step", step, workers.rank),
                graphs=graphs,
            )
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * training.rate_schedule(progress.epoch)
            batch = _batch(len(x), per_epoch, step, seed)
            part = batch.tensor_split(workers.count)[workers.rank]
            model.train()
            with _dropout_stream(seed, step, workers):
                loss = _loss(
                    objective, model, x[part].to(workers.device), y[part].to(workers.device), progress
                )
            scalars = _update(model, optimizer, loss, training, step, workers, len(part) / len(batch))
            position.step += 1
            if workers.is_main and (step % training.log_steps == 0 or position.step == steps):
                rate = float(optimizer.param_groups[0]["lr"])
                run.log(step, **{f"train/{k}": v for k, v in scalars.items()}, **{"train/rate": rate})
            if validate is not None and _validation_due(position.step, steps, per_epoch, training):
                _validate(
                    model, validate, position, run, keep=position.step / per_epoch >= training.keep_best_from
                )
            due = training.checkpoint_steps is not None and position.step % training.checkpoint_steps == 0
            late = time.monotonic() - saved_at >= training.checkpoint_seconds
            if workers.is_main and (due or late or position.step == steps):
                _save(file, model, optimizer, position, identity)
                saved_at = time.monotonic()
            bar.advance()
    if position.best is not None:
        model.load_state_dict({name: value.to(workers.device) for name, value in position.best.items()})
    if workers.is_main:
        checkpoints.save(run.checkpoints / MODEL_FILE, tensors=model.state_dict(), state={"step": steps})
    workers.wait()
    return model.eval()


def load_model(model: nn.Module, run: Run, *, device: torch.device | str = "cpu") -> nn.Module:
    """Load what `fit` saved into a model of the same shape, and give it in evaluation mode.

    Raises:
        CheckpointError: no such file, a damaged one, or one of another model.
    """
    path = run.checkpoints / MODEL_FILE
    _load_state(model, checkpoints.load(path).tensors, path)
    return model.to(device).eval()


def check_examples(x: Tensor, y: Tensor) -> None:
    """Check all examples of a training at once.

    Raises:
        InvalidInput: NaN or infinity, or a negative label; the message names the first example.
    """
    finite = torch.isfinite(x).flatten(1).all(1) if x.dim() > 1 else torch.isfinite(x)
    for good, complaint in ((finite, "has NaN or infinite values"), (y >= 0, "has a negative label")):
        if not bool(good.all()):
            row = int((~good).nonzero()[0, 0])
            raise InvalidInput(f"example {row} {complaint}; remove it, or put another in its place")


def _loss(objective: Objective, model: nn.Module, x: Tensor, y: Tensor, progress: Progress) -> Loss:
    """Call an objective.

    Raises:
        TrainingDiverged: the model gives NaN.
        InvalidInput: a label that the model has no output for, or no loss.
    """
    try:
        loss = objective(model, x, y, progress)
    except NotANumber:
        raise _diverged(progress.step, "the model's output", math.nan) from None
    except IndexError as error:  # torch's own word for a label out of range, on the CPU
        reason = (str(error).splitlines() or [""])[0]
        raise InvalidInput(
            f"the objective cannot use labels in [{int(y.min())}, {int(y.max())}] ({reason}); expected indices of the "
            "model's outputs"
        ) from error
    check_kind(loss, Loss, "what the objective gives", "a Loss(total=...)")
    return loss


def _batch(n: int, per_epoch: int, step: int, seed: int) -> Tensor:
    """Give the indices of the examples of a step's batch, from the epoch's own permutation."""
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(n, generator=seeding.generator(seed, "order", epoch))
    return order.tensor_split(per_epoch)[place]


@contextmanager
def _dropout_stream(seed: int, step: int, workers: parallel.Workers) -> Iterator[None]:
    """Give the global generators, from which dropout draws, this step's stream; then put them back."""
    cuda = [workers.device] if workers.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        own = seeding.derive(seed, "dropout", step, workers.rank)
        torch.default_generator.manual_seed(own)
        if cuda:
            torch.cuda.manual_seed(own)
        yield


def _update(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    training: Training,
    step: int,
    workers: parallel.Workers,
    share: float,
) -> dict[str, float]:
    """Make one step of the optimiser; give the loss, its terms and the gradient's norm as numbers."""
    scalars = {"loss": loss.total, **loss.terms}
    # The one place where the step waits for the device: all scalars at once.
    numbers = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
    found = dict(zip(scalars, numbers, strict=True))
    for name in (*loss.terms, "loss"):
        if not math.isfinite(found[name]):
            raise _diverged(step, f"term '{name}'", found[name])
    optimizer.zero_grad(set_to_none=True)
    # Each process holds the mean over its part: weighted, their mean is the mean over the batch.
    (loss.total * (share * workers.count)).backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    workers.average_gradients(parameters)
    limit = math.inf if training.gradient_norm is None else training.gradient_norm
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
    if not math.isfinite(norm):
        raise _diverged(step, "the gradient's norm", norm)
    optimizer.step()
    return {**found, "gradient_norm": norm}


def _diverged(step: int, what: str, value: float) -> TrainingDiverged:
    return TrainingDiverged(
        f"{what} became {value} at step {step}; lower the learning rate, cut gradients with gradient_norm, "
        "or let the radius grow more slowly"
    )


def _validation_due(done: int, steps: int, per_epoch: int, training: Training) -> bool:
    return done == steps or done % (per_epoch * training.validate_epochs) == 0


def _validate(
    model: nn.Module, validate: Callable[[nn.Module], float], position: _Position, run: Run, *, keep: bool
) -> None:
    value = float(validate(model.eval()))
    run.log(position.step - 1, **{"validation/value": value})
    if keep and value > position.best_value:
        position.best_value = value
        position.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _save(
    file: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: _Position,
    identity: Mapping[str, int],
) -> None:
    best_value = position.best_value if position.best is not None else None
    whole = checkpoints.join(
        model=Checkpoint(tensors=model.state_dict()),
        optimizer=checkpoints.flatten_optimizer(optimizer),
        best=Checkpoint(tensors=dict(position.best or {}), state={"value": best_value}),
        position=Checkpoint(state={"step": position.step, **identity}),
    )
    checkpoints.save(file, tensors=whole.tensors, state=whole.state)


def _restore(
    file: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: Mapping[str, int]
) -> _Position:
    whole = checkpoints.load(file)
    state = whole.part("position").state
    for name, value in identity.items():
        if state[name] != value:
            raise CheckpointError(
                f"checkpoint '{file}' is of a training with {name} {state[name]}, this one has {value}; "
                "resume with the same options, or start anew"
            )
    _load_state(model, whole.part("model").tensors, file)
    checkpoints.restore_optimizer(optimizer, whole.part("optimizer"))
    best = whole.part("best")
    if best.state["value"] is None:
        return _Position(step=state["step"])
    return _Position(step=state["step"], best_value=best.state["value"], best=best.tensors)


def _load_state(model: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"checkpoint '{file}' is of another model ({reason}); train it again") from None
