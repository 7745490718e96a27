"""The loop: resumes to the bit, keeps random states apart, stops at NaN, keeps the best, says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite.errors import CheckpointError, InvalidInput, TrainingDiverged
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.runs.run import ProgressEvent, Run
from robustsuite.training import (
    SGD,
    Adam,
    Averaged,
    Batch,
    Cosine,
    Data,
    Descent,
    Loss,
    Objective,
    Progress,
    Standard,
    TensorData,
    Training,
    Update,
    fit,
    load_model,
)
from tests.training import interrupted, two_processes
from tests.training.cases import toy_data, toy_model, toy_points

ROOT = Path(__file__).resolve().parents[2]
QUICK = Training(epochs=3, batch_size=80)


def _fit(
    model: nn.Module,
    update: Update | None = None,
    data: Data | None = None,
    *,
    training: Training = QUICK,
    run: Run | None = None,
    seed: int = 0,
    validate: Callable[[nn.Module], float] | None = None,
) -> nn.Module:
    """Train with what a test does not care about."""
    return fit(
        model,
        Descent(Standard(), optimizer=Adam(rate=0.02)) if update is None else update,
        toy_data() if data is None else data,
        training=training,
        run=Run.scratch() if run is None else run,
        seed=seed,
        validate=validate,
    )


def _train_elsewhere(folder: Path, kill_before: int) -> int:
    # Imported, not run as a script: a checkpoint names the classes of its training by their module.
    code = f"""
import pathlib, torch
from tests.training import interrupted
torch.set_num_threads(1)
interrupted.main(pathlib.Path({str(folder)!r}), {kill_before})
"""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, timeout=120).returncode


def test_a_killed_run_resumes_to_the_bit(tmp_path: Path) -> None:
    interrupted.main(tmp_path / "whole")
    # Killed between checkpoints, in the middle of an epoch; then again just after resuming; then let go.
    for step in (11, 18):
        assert _train_elsewhere(tmp_path / "broken", step) == -signal.SIGKILL
    interrupted.main(tmp_path / "broken")
    for file in ("model.safetensors", "training.safetensors"):
        whole, broken = (
            checkpoints.load(tmp_path / run / "checkpoints" / file) for run in ("whole", "broken")
        )
        assert whole.state == broken.state
        assert set(whole.tensors) == set(broken.tensors)
        for name, tensor in whole.tensors.items():
            assert torch.equal(tensor, broken.tensors[name]), name


@pytest.mark.parametrize("optimizer", [Adam(weight_decay=0.01), SGD(rate=0.05), SGD(momentum=0.0)])
def test_training_twice_gives_the_same_bits_and_leaves_the_global_generator_alone(
    optimizer: Adam | SGD,
) -> None:
    state = torch.get_rng_state()
    models = [
        _fit(nn.Sequential(toy_model(), nn.Dropout(0.1)), Descent(Standard(), optimizer=optimizer), seed=1)
        for _ in range(2)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


@dataclass(frozen=True, eq=False)
class _Sees(Objective):
    """An objective that writes down what it sees."""

    seen: list[Batch] = field(default_factory=list)

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        self.seen.append(batch)
        return Loss(total=model(batch.x).sum())


def test_every_example_is_seen_once_in_an_epoch_in_batches_of_nearly_equal_size() -> None:
    objective, x = _Sees(), torch.arange(103.0).unsqueeze(1)
    data = TensorData(x, torch.zeros(103, dtype=torch.long))
    training = Training(epochs=2, batch_size=25)
    _fit(nn.Linear(1, 2), Descent(objective, optimizer=Adam(rate=1e-6)), data, training=training)
    for batch in objective.seen:
        assert torch.equal(batch.x[:, 0], batch.index.float())
    first, second = (torch.cat([b.index for b in part]) for part in (objective.seen[:5], objective.seen[5:]))
    assert torch.equal(first.sort().values, torch.arange(103))
    assert torch.equal(second.sort().values, torch.arange(103))
    assert not torch.equal(first, second)
    assert {len(batch) for batch in objective.seen} <= {20, 21}


@dataclass(frozen=True)
class _Breaks(Objective):
    """An objective with a term that becomes NaN."""

    step: int

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        clean = functional.cross_entropy(model(batch.x), batch.y)
        robust = clean * float("nan") if progress.step == self.step else clean
        return Loss(total=clean + robust, terms={"clean": clean, "robust": robust})


def test_nan_stops_the_run_and_names_the_step_and_the_term() -> None:
    run, model = Run.scratch(), toy_model()
    training = replace(QUICK, checkpoint_steps=1)
    with pytest.raises(TrainingDiverged, match=r"term 'robust' became nan at step 4"):
        _fit(model, Descent(_Breaks(4)), training=training, run=run)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    saved = checkpoints.load(run.checkpoints / "training.safetensors")
    assert saved.part("position").state["step"] == 4


@dataclass(frozen=True)
class _Steep(Objective):
    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        return Loss(total=(model(batch.x) * 0).abs().sqrt().sum())


def test_an_exploding_gradient_stops_the_run() -> None:
    with pytest.raises(TrainingDiverged, match="gradient's norm became .* at step 0"):
        _fit(toy_model(), Descent(_Steep()))


def test_the_best_validated_weights_are_kept() -> None:
    values = iter([0.1, 0.9, 0.4])
    weights: list[Tensor] = []

    def validate(model: nn.Module) -> float:
        assert not model.training
        weights.append(next(model.parameters()).detach().clone())
        return next(values)

    run = Run.scratch()
    model = _fit(toy_model(), run=run, validate=validate)
    assert torch.equal(next(model.parameters()), weights[1])
    assert torch.equal(next(load_model(toy_model(), run).parameters()), weights[1])


def test_early_weights_are_not_kept_before_the_ramp_ends() -> None:
    values = iter([0.9, 0.5, 0.4])
    weights: list[Tensor] = []

    def validate(model: nn.Module) -> float:
        weights.append(next(model.parameters()).detach().clone())
        return next(values)

    model = _fit(toy_model(), training=replace(QUICK, keep_best_from=2.0), validate=validate)
    assert torch.equal(next(model.parameters()), weights[1])


def test_training_stops_when_patience_ends() -> None:
    values = [0.5, 0.9, 0.4, 0.6, 0.95, 1.0]
    asked: list[float] = []

    def validate(model: nn.Module) -> float:
        asked.append(values[len(asked)])
        return asked[-1]

    run = Run.scratch()
    _fit(toy_model(), training=replace(QUICK, epochs=6, patience=2), run=run, validate=validate)
    assert asked == values[:4]
    assert checkpoints.load(run.checkpoints / "model.safetensors").state == {"step": 12}


def test_progress_and_scalars_are_told(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    run = Run(tmp_path, listener=events.append)
    _fit(toy_model(), training=replace(QUICK, log_steps=1), run=run)
    run.close()
    assert (events[-1].done, events[-1].total) == (9, 9)
    assert any(run.metrics.iterdir())


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    _fit(toy_model(), run=Run.scratch(tmp_path))
    again = Run.scratch(tmp_path, resume=True)
    with pytest.raises(CheckpointError, match=r"another training \(seed: 0 != 1\)"):
        _fit(toy_model(), run=again, seed=1)
    with pytest.raises(CheckpointError, match="of another model"):
        _fit(nn.Linear(2, 3), run=again)
    with pytest.raises(CheckpointError, match="of another model"):
        load_model(nn.Linear(2, 3), again)


def test_what_changes_the_run_is_compared_when_it_resumes(tmp_path: Path) -> None:
    """One line says what differs; where checkpoints and logs are written may differ."""
    update = Descent(Standard(), optimizer=Adam(rate=0.02))
    _fit(toy_model(), update, run=Run.scratch(tmp_path))
    again = Run.scratch(tmp_path, resume=True)
    _fit(toy_model(), update, training=replace(QUICK, log_steps=7, checkpoint_steps=2), run=again)
    for training, other, message in (
        (replace(QUICK, batch_size=90), update, "batch_size: 80 != 90"),
        (replace(QUICK, rate_schedule=Cosine(length=3)), update, "rate_schedule: Constant != Cosine"),
        (replace(QUICK, keep_best_from=1.0), update, "keep_best_from: 0.0 != 1.0"),
        (QUICK, replace(update, optimizer=Adam(rate=0.03)), "update.optimizer.rate: 0.02 != 0.03"),
        (QUICK, replace(update, accumulate=2), "update.accumulate: 1 != 2"),
        (QUICK, Averaged(update), "update: Descent != Averaged"),
    ):
        with pytest.raises(
            CheckpointError, match=f"is of another training .{message}.; resume with the same"
        ) as caught:
            _fit(toy_model(), other, training=training, run=again)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("update", "batch_size"),
    [(Descent(Standard()), 2), (Descent(Standard(), accumulate=2), 3)],
    ids=["the last of three", "a part of a batch"],
)
def test_one_example_is_too_few_for_batch_norm(update: Update, batch_size: int) -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    with pytest.raises(InvalidInput, match="batch norm .* holds 1; .* batch_size") as caught:
        _fit(model, update, toy_data(3), training=Training(epochs=1, batch_size=batch_size))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_the_older_form_is_named(tmp_path: Path) -> None:
    run = Run.scratch(tmp_path, resume=True)
    parts = {"model": toy_model().state_dict(), "optimizer": {}, "best": {}, "position": {}}
    old = checkpoints.join(**{name: Checkpoint(tensors=tensors) for name, tensors in parts.items()})
    checkpoints.save(run.checkpoints / "training.safetensors", tensors=old.tensors, state=old.state)
    with pytest.raises(
        CheckpointError, match="the form of an older version.*train anew under another --name"
    ):
        _fit(toy_model(), run=run)


def test_wrong_input_is_refused() -> None:
    x, y = toy_points()
    with pytest.raises(InvalidInput, match=r"labels of shape \(239,\)"):
        TensorData(x, y[1:])
    with pytest.raises(InvalidInput, match="epochs is 0"):
        Training(epochs=0)
    with pytest.raises(InvalidInput, match=r"gradient_norm is -1\.0"):
        Descent(Standard(), gradient_norm=-1.0)
    with pytest.raises(InvalidInput, match="accumulate is 9 with batches of 8"):
        _fit(toy_model(), Descent(Standard(), accumulate=9), training=replace(QUICK, batch_size=8))


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Data-parallel over gloo: the same weights as a single process, up to the order of sums."""
    two_processes.main(tmp_path / "one")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", two_processes.__name__, str(tmp_path / "two")],
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for folder in (tmp_path / "one").iterdir():
        one, two = (
            checkpoints.load(tmp_path / name / folder.name / "checkpoints" / "training.safetensors")
            for name in ("one", "two")
        )
        ranks = [
            checkpoints.load(tmp_path / "two" / folder.name / f"{rank}.safetensors").tensors
            for rank in (0, 1)
        ]
        for name, tensor in ranks[0].items():
            assert torch.equal(tensor, ranks[1][name]), (folder.name, name)
        if folder.name != "normed":  # each process has batch statistics of its own
            for name, tensor in one.tensors.items():
                torch.testing.assert_close(
                    tensor, two.tensors[name], rtol=1e-4, atol=1e-5, msg=f"{folder.name}: {name}"
                )
