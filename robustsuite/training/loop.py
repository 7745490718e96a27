"""The one training loop: any update, any model, any data, resumable to the bit.

It owns the order of the data, the random streams, checkpoints, logs and validation, and nothing else: what one step does
is the update's. All randomness of a step (an attack's starts, dropout) is a function of the seed and the step's number, so
that a run that was killed continues exactly from what its last checkpoint holds.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustsuite import seeding
from robustsuite.arguments import check_callable, check_device, check_fields, check_kind, check_number
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints, serialization
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.runs.run import Run
from robustsuite.training import parallel
from robustsuite.training.data import Batch, Data
from robustsuite.training.gradients import BatchGradients
from robustsuite.training.objective import Graphs, Progress
from robustsuite.training.schedules import Constant, Schedule
from robustsuite.training.update import Running, Setting, Step, Update

TRAINING_FILE, MODEL_FILE = "training.safetensors", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How long and in which steps to train.

    Args:
        epochs: passes over the data, >= 1.
        batch_size: examples per step, over all processes; an epoch's batches are equal to within one example.
        rate_schedule: factor on the learning rates of the update's optimisers by epoch.
        checkpoint_steps: steps between checkpoints, >= 1; None counts seconds only.
        checkpoint_seconds: seconds between checkpoints, >= 0.
        log_steps: steps between logged scalars, >= 1.
        validate_epochs: epochs between validations, where there is one, >= 1.
        keep_best_from: the epoch from which on the best validated weights are kept (after the ramp of a radius), >= 0.
        patience: validations in a row without better weights after which training stops, counted from
            `keep_best_from` on, >= 1; None trains to the end.

    Raises:
        InvalidInput: a value outside its range.
    """

    epochs: int
    batch_size: int = 128
    rate_schedule: Schedule = Constant(1.0)
    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 30.0
    log_steps: int = 20
    validate_epochs: int = 1
    keep_best_from: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, "epochs", "batch_size", "log_steps", "validate_epochs", integer=True, least=1)
        check_fields(self, "checkpoint_steps", "patience", integer=True, least=1, optional=True)
        check_fields(self, "checkpoint_seconds", "keep_best_from", least=0, endless=True)
        check_callable(self.rate_schedule, "rate_schedule", "a schedule such as Constant(1.0)")


@dataclass(slots=True)
class _Position:
    """Where training is, and the best weights so far."""

    step: int = 0
    best_value: float = -math.inf
    best: Mapping[str, Tensor] | None = None
    worse: int = 0
    """Validations since the best one."""


def fit(
    model: nn.Module,
    update: Update,
    data: Data,
    *,
    training: Training,
    run: Run,
    seed: int,
    device: torch.device | str = "cpu",
    validate: Callable[[nn.Module], float] | None = None,
) -> nn.Module:
    """Train `model` in place and give it back in evaluation mode; save its weights as ``model.safetensors``.

    Under ``accelerate launch`` (or torchrun) each process works on its part of every batch, on its own device, and
    gradients are summed: any update profits, also one whose objective does not call the module's forward.

    Args:
        model: on any device; moved to `device`.
        update: what a step does, such as `Descent(Standard())`.
        data: such as `TensorData(x, y)`; batches are moved to `device` one by one.
        training: epochs, batches, checkpoints.
        run: gets checkpoints, scalars and progress; with ``run.resume``, training continues from its checkpoint.
        seed: of the order of the data, of augmentation, of attacks and of dropout, >= 0.
        device: "cpu", "cuda", ...; each process takes its own where there are several.
        validate: gives a number (higher is better) for the model in evaluation mode, on examples that are neither
            trained on nor reported on (`hold_out`); the best weights are kept.

    Raises:
        TrainingDiverged: a loss, a term or the gradient is NaN or infinite; the message names the step and the term.
        CheckpointError: the checkpoint to resume from is damaged or of another training.
        InvalidInput: something else than what is asked for.
    """
    check_kind(model, nn.Module, "model", "a torch.nn.Module")
    check_kind(update, Update, "update", "an update such as Descent(Standard())")
    check_kind(data, Data, "data", "examples such as TensorData(x, y)")
    check_kind(training, Training, "training", "a Training(epochs=...)")
    check_kind(run, Run, "run", "a Run, such as Run.scratch()")
    check_number("seed", seed, integer=True, least=0)
    check_device(device)
    workers = parallel.workers(device)
    model.to(workers.device)
    setting = Setting(
        model=model,
        examples=len(data),
        batch_size=min(training.batch_size, len(data)),
        device=workers.device,
        seed=seed,
    )
    running = update.start(setting)
    batches = _Batches(data, training.batch_size, seed, workers)
    steps = batches.per_epoch * training.epochs
    identity = _identity(training, update, seed=seed, examples=len(data))
    position, file, graphs = _Position(), run.checkpoints / TRAINING_FILE, Graphs()
    if run.resume and file.exists():
        position = _restore(file, setting, running, identity)
    saved_at = time.monotonic()
    with run.progress("training", total=steps) as bar:
        bar.to(position.step)
        while position.step < steps and not _patience_ended(position, training):
            step = position.step
            progress = Progress(
                step=step, steps=steps, steps_per_epoch=batches.per_epoch, graphs=graphs, batch=batches.at
            )
            gradients = batches.gradients(progress)
            scalars = running.step(
                Step(
                    batch=gradients.batch,
                    progress=progress,
                    rate=training.rate_schedule(progress.epoch),
                    answer=gradients,
                )
            )
            position.step += 1
            if workers.is_main and (step % training.log_steps == 0 or position.step == steps):
                run.log(step, **{f"train/{name}": value for name, value in scalars.items()})
            if validate is not None and _validation_due(position.step, steps, batches.per_epoch, training):
                with _holding(model, running.weights()):
                    _validate(
                        model,
                        validate,
                        position,
                        run,
                        workers,
                        keep=position.step / batches.per_epoch >= training.keep_best_from,
                    )
            due = training.checkpoint_steps is not None and position.step % training.checkpoint_steps == 0
            late = time.monotonic() - saved_at >= training.checkpoint_seconds
            if workers.is_main and (due or late or position.step == steps):
                _save(file, setting, running, position, identity)
                saved_at = time.monotonic()
            bar.advance()
    final = position.best if position.best is not None else running.weights()
    if final is not None:
        model.load_state_dict({name: value.to(workers.device) for name, value in final.items()})
    if workers.is_main:
        checkpoints.save(
            run.checkpoints / MODEL_FILE, tensors=model.state_dict(), state={"step": position.step}
        )
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


class _Batches:
    """The batches of a training: each epoch in an order of its own, and this process' part of each."""

    def __init__(self, data: Data, batch_size: int, seed: int, workers: parallel.Workers) -> None:
        if len(data) == 0:
            raise InvalidInput("data holds no examples; expected at least one to train on")
        self._data, self._seed, self._workers = data, seed, workers
        self.per_epoch = math.ceil(len(data) / batch_size)
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> tuple[Tensor, ...]:
        order = torch.randperm(len(self._data), generator=seeding.generator(self._seed, "order", epoch))
        return order.tensor_split(self.per_epoch)

    def at(self, step: int) -> Batch:
        """Give this process' part of a step's batch on its device; the whole batch where the part is empty.

        Raises:
            InvalidInput: the step is negative.
        """
        check_number("step", step, integer=True, least=0)
        epoch, place = divmod(step, self.per_epoch)
        index = self._order(epoch)[place]
        own = index.tensor_split(self._workers.count)[self._workers.rank]
        stream = seeding.generator(self._seed, "data", epoch)
        return self._data.batch(own if len(own) else index, generator=stream).to(self._workers.device)

    def gradients(self, progress: Progress) -> BatchGradients:
        """Give what answers an update's requests at a step."""
        epoch, place = divmod(progress.step, self.per_epoch)
        lengths = [len(part) for part in self._order(epoch)[place].tensor_split(self._workers.count)]
        return BatchGradients(
            batch=self.at(progress.step),
            progress=progress,
            seed=self._seed,
            workers=self._workers,
            first=sum(lengths[: self._workers.rank]),
            share=lengths[self._workers.rank] / sum(lengths),
        )


def _validation_due(done: int, steps: int, per_epoch: int, training: Training) -> bool:
    return done == steps or done % (per_epoch * training.validate_epochs) == 0


def _patience_ended(position: _Position, training: Training) -> bool:
    return training.patience is not None and position.worse >= training.patience


@contextmanager
def _holding(model: nn.Module, weights: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Let the model hold other weights for a while."""
    if weights is None:
        yield
        return
    own = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(dict(weights))
    try:
        yield
    finally:
        model.load_state_dict(own)


def _validate(
    model: nn.Module,
    validate: Callable[[nn.Module], float],
    position: _Position,
    run: Run,
    workers: parallel.Workers,
    *,
    keep: bool,
) -> None:
    # The mean over processes: they must agree on which weights are best, whatever the last bits of their sums.
    own = torch.tensor(float(validate(model.eval())), dtype=torch.float64, device=workers.device)
    value = float(workers.sum([own / workers.count])[0])
    if workers.is_main:
        run.log(position.step - 1, **{"validation/value": value})
    if not keep:
        return
    position.worse += 1
    if value > position.best_value:
        position.best_value, position.worse = value, 0
        position.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


_MAY_DIFFER = ("checkpoint_steps", "checkpoint_seconds", "log_steps")
"""Options of a training that change nothing of what is trained."""


def _identity(training: Training, update: Update, *, seed: int, examples: int) -> str:
    """Give what a resumed training must have in common with the one that it continues, as JSON."""
    parts = {field.name: getattr(training, field.name) for field in fields(training)}
    values = {name: value for name, value in parts.items() if name not in _MAY_DIFFER}
    plain = {"seed": seed, "examples": examples, **values, "update": update}
    return json.dumps({name: _plain(value) for name, value in plain.items()})


def _plain(value: Any) -> Any:
    """Give a value as JSON holds it, by its name alone where it holds tensors or the like."""
    try:
        return json.loads(serialization.to_json(value))
    except InvalidInput:
        return {"type": type(value).__qualname__}


def _save(file: Path, setting: Setting, running: Running, position: _Position, identity: str) -> None:
    best_value = position.best_value if position.best is not None else None
    whole = checkpoints.join(
        model=Checkpoint(tensors=setting.model.state_dict()),
        states=Checkpoint(tensors=setting.states.state_dict()),
        update=running.checkpoint(),
        best=Checkpoint(
            tensors=dict(position.best or {}), state={"value": best_value, "worse": position.worse}
        ),
        position=Checkpoint(state={"step": position.step, "identity": identity}),
    )
    checkpoints.save(file, tensors=whole.tensors, state=whole.state)


def _restore(file: Path, setting: Setting, running: Running, identity: str) -> _Position:
    whole = checkpoints.load(file)
    known = whole.state.get("parts", ())
    if "update" not in known or "identity" not in whole.part("position").state:
        form = "no record of its options" if "update" in known else "an optimiser, no update and no states"
        raise CheckpointError(
            f"checkpoint '{file}' has the form of an older version ({form}); train anew under another --name"
        )
    state = whole.part("position").state
    different = serialization.differences(state["identity"], identity)
    if different:
        raise CheckpointError(
            f"checkpoint '{file}' is of another training ({'; '.join(different)}); resume with the same options, or start "
            "anew"
        )
    _load_state(setting.model, whole.part("model").tensors, file)
    _load_state(setting.states, whole.part("states").tensors, file, what="another update")
    running.restore(whole.part("update"))
    best = whole.part("best")
    if best.state["value"] is None:
        return _Position(step=state["step"], worse=best.state["worse"])
    return _Position(
        step=state["step"], best_value=best.state["value"], best=best.tensors, worse=best.state["worse"]
    )


def _load_state(
    model: nn.Module, tensors: Mapping[str, Tensor], file: Path, *, what: str = "another model"
) -> None:
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"checkpoint '{file}' is of {what} ({reason}); train it again") from None
