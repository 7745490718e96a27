"""The loop: resumes to the bit, keeps random states apart, stops at NaN, keeps the best, says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite.errors import CheckpointError, InvalidInput, TrainingDiverged
from robustsuite.runs import checkpoints
from robustsuite.runs.run import ProgressEvent, Run
from robustsuite.training import SGD, Adam, Loss, Progress, Standard, Training, fit, load_model
from tests.training.cases import toy_data, toy_model

ROOT = Path(__file__).resolve().parents[2]
QUICK = Training(epochs=3, batch_size=80, optimizer=Adam(rate=0.02))


def _train_elsewhere(folder: Path, kill_before: int) -> int:
    command = [sys.executable, "-m", "tests.training.interrupted", str(folder), str(kill_before)]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, timeout=120).returncode


def test_a_killed_run_resumes_to_the_bit(tmp_path: Path) -> None:
    assert _train_elsewhere(tmp_path / "whole", -1) == 0
    # Killed between checkpoints, in the middle of an epoch; then again just after resuming; then let go.
    for step in (11, 18, -1):
        assert _train_elsewhere(tmp_path / "broken", step) == (-signal.SIGKILL if step >= 0 else 0)
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
    x, y = toy_data()
    state = torch.get_rng_state()
    models = [
        fit(
            nn.Sequential(toy_model(), nn.Dropout(0.1)),
            Standard(),
            x,
            y,
            training=replace(QUICK, optimizer=optimizer),
            run=Run.scratch(),
            seed=1,
        )
        for _ in range(2)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_example_is_seen_once_in_an_epoch_in_batches_of_nearly_equal_size() -> None:
    seen: list[Tensor] = []

    def objective(model: nn.Module, x: Tensor, y: Tensor, progress: Progress) -> Loss:
        seen.append(x[:, 0])
        return Loss(total=model(x).sum())

    x = torch.arange(103.0).unsqueeze(1)
    training = Training(epochs=2, batch_size=25, optimizer=Adam(rate=1e-6))
    fit(
        nn.Linear(1, 2),
        objective,
        x,
        torch.zeros(103, dtype=torch.long),
        training=training,
        run=Run.scratch(),
        seed=0,
    )
    first, second = torch.cat(seen[:5]), torch.cat(seen[5:])
    assert torch.equal(first.sort().values, x[:, 0])
    assert torch.equal(second.sort().values, x[:, 0])
    assert not torch.equal(first, second)
    assert {len(batch) for batch in seen} <= {20, 21}


@dataclass(frozen=True)
class _Breaks:
    """An objective with a term that becomes NaN."""

    step: int

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, progress: Progress) -> Loss:
        clean = functional.cross_entropy(model(x), y)
        robust = clean * float("nan") if progress.step == self.step else clean
        return Loss(total=clean + robust, terms={"clean": clean, "robust": robust})


def test_nan_stops_the_run_and_names_the_step_and_the_term() -> None:
    x, y = toy_data()
    run, model = Run.scratch(), toy_model()
    training = replace(QUICK, checkpoint_steps=1)
    with pytest.raises(TrainingDiverged, match=r"term 'robust' became nan at step 4"):
        fit(model, _Breaks(4), x, y, training=training, run=run, seed=0)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    saved = checkpoints.load(run.checkpoints / "training.safetensors")
    assert saved.part("position").state["step"] == 4


def test_an_exploding_gradient_stops_the_run() -> None:
    def objective(model: nn.Module, x: Tensor, y: Tensor, progress: Progress) -> Loss:
        return Loss(total=(model(x) * 0).abs().sqrt().sum())

    x, y = toy_data()
    with pytest.raises(TrainingDiverged, match="gradient's norm became .* at step 0"):
        fit(toy_model(), objective, x, y, training=QUICK, run=Run.scratch(), seed=0)


def test_gradients_are_cut() -> None:
    x, y = toy_data()
    model, start = toy_model(), toy_model()
    training = Training(epochs=1, batch_size=240, optimizer=SGD(rate=1.0, momentum=0.0), gradient_norm=1e-3)
    fit(model, Standard(), 100 * x, y, training=training, run=Run.scratch(), seed=0)
    moved = torch.cat(
        [(p - q).flatten() for p, q in zip(model.parameters(), start.parameters(), strict=True)]
    )
    assert float(moved.detach().norm()) == pytest.approx(1e-3, rel=1e-3)


def test_the_best_validated_weights_are_kept() -> None:
    x, y = toy_data()
    values = iter([0.1, 0.9, 0.4])
    weights: list[Tensor] = []

    def validate(model: nn.Module) -> float:
        assert not model.training
        weights.append(next(model.parameters()).detach().clone())
        return next(values)

    run = Run.scratch()
    model = fit(toy_model(), Standard(), x, y, training=QUICK, run=run, seed=0, validate=validate)
    assert torch.equal(next(model.parameters()), weights[1])
    assert torch.equal(next(load_model(toy_model(), run).parameters()), weights[1])


def test_early_weights_are_not_kept_before_the_ramp_ends() -> None:
    x, y = toy_data()
    values = iter([0.9, 0.5, 0.4])
    weights: list[Tensor] = []

    def validate(model: nn.Module) -> float:
        weights.append(next(model.parameters()).detach().clone())
        return next(values)

    training = replace(QUICK, keep_best_from=2.0)
    model = fit(
        toy_model(), Standard(), x, y, training=training, run=Run.scratch(), seed=0, validate=validate
    )
    assert torch.equal(next(model.parameters()), weights[1])


def test_progress_and_scalars_are_told(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    run = Run(tmp_path, listener=events.append)
    x, y = toy_data()
    fit(toy_model(), Standard(), x, y, training=replace(QUICK, log_steps=1), run=run, seed=0)
    run.close()
    assert (events[-1].done, events[-1].total) == (9, 9)
    assert any(run.metrics.iterdir())


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    x, y = toy_data()
    fit(toy_model(), Standard(), x, y, training=QUICK, run=Run.scratch(tmp_path), seed=0)
    again = Run.scratch(tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="seed 0, this one has 1"):
        fit(toy_model(), Standard(), x, y, training=QUICK, run=again, seed=1)
    with pytest.raises(CheckpointError, match="of another model"):
        fit(nn.Linear(2, 3), Standard(), x, y, training=QUICK, run=again, seed=0)
    with pytest.raises(CheckpointError, match="of another model"):
        load_model(nn.Linear(2, 3), again)


def test_wrong_input_is_refused() -> None:
    x, y = toy_data()
    with pytest.raises(InvalidInput, match=r"labels of shape \(239,\)"):
        fit(toy_model(), Standard(), x, y[1:], training=QUICK, run=Run.scratch(), seed=0)
    with pytest.raises(InvalidInput, match="epochs is 0"):
        Training(epochs=0)
    with pytest.raises(InvalidInput, match=r"gradient_norm is -1\.0"):
        Training(epochs=1, gradient_norm=-1.0)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Data-parallel over gloo: the same weights as a single process, up to the order of sums."""
    script = "tests.training.two_processes"
    alone = [sys.executable, "-m", script, str(tmp_path / "one")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    for command in (alone, [*launcher, "-m", script, str(tmp_path / "two")]):
        done = subprocess.run(
            command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (
        checkpoints.load(tmp_path / name / "checkpoints" / "model.safetensors") for name in ("one", "two")
    )
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(tensor, two.tensors[name], rtol=1e-4, atol=1e-5)
