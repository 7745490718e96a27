"""Checkpoints: exact, checked, whole after a kill, and nothing is unpickled."""

from __future__ import annotations

import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.runs.files import NotWritable


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert tensor.shape == other[name].shape
        assert torch.equal(tensor, other[name])


def test_round_trip_of_all_kinds_of_tensors(tmp_path: Path) -> None:
    base = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    tensors = {
        "whole": base,
        "view": base[1:3].T,  # neither contiguous nor with a storage of its own
        "tied": base,
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 5),
        "half": base.to(torch.bfloat16),
        "flags": base > 0,
    }
    state = {"step": 3, "best": -float("inf"), "names": ["a", None], "nested": {"x": True}, "big": 2**100}
    checkpoints.save(tmp_path / "c.safetensors", tensors=tensors, state=state)
    found = checkpoints.load(tmp_path / "c.safetensors")
    _same(found.tensors, tensors)
    assert found.state == state


def test_state_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="keep tensors and arrays in `tensors`"):
        checkpoints.save(tmp_path / "c", tensors={}, state={"x": torch.zeros(1)})
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("path", "tensors", "state", "message"),
    [
        ("c", {"a": 3}, {}, "'a' of the checkpoint is 3; expected a tensor"),
        ("c", 3, {}, "tensors of a checkpoint is 3; expected a dict"),
        ("c", {1: torch.zeros(1)}, {}, "name of a tensor is 1"),
        ("c", {"a": torch.eye(2).to_sparse()}, {}, "sparse_coo form on cpu; expected a dense real tensor"),
        ("c", {"a": torch.zeros(1, device="meta")}, {}, "on meta; expected a dense real tensor"),
        ("c", {}, [], "state of a checkpoint is a list of 0"),
        (3, {}, {}, "path is 3; expected the path of a file"),
        ("", {}, {}, "path is ''"),
    ],
)
def test_what_is_no_checkpoint_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, tensors: Any, state: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=message):
        checkpoints.save(path, tensors=tensors, state=state)
    assert not list(tmp_path.iterdir())


_FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from robustsuite.runs import checkpoints, files, records
from robustsuite.runs.metric import Metric
from robustsuite.runs.run import Run
METRIC = Metric(name="accuracy", kind="clean", unit="share")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, what = Path(sys.argv[1]), sys.argv[2]
run = Run.scratch(folder)

def metrics():
    run.log(0, **{f"a{i}": 0.0 for i in range(3000)})
    run.close()

def write(n):
    record = records.Record(
        domain="toy", subject="s" * n, data="", perturbation="none", method="none", metric=METRIC,
        value=0.5, low=0.0, high=1.0, n=1, seed=0, versions="",
    )
    {
        "checkpoint": lambda: checkpoints.save(folder / "file", tensors={"a": torch.ones(n)}, state={}),
        "text": lambda: files.write_text(folder / "file", "x" * n),
        "records": lambda: records.write([record], folder / "file"),
        "metrics": metrics,
    }[what]()

if what != "metrics":
    write(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write(100_000)
except files.NotWritable as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX's")
@pytest.mark.parametrize("what", ["checkpoint", "text", "records", "metrics"])
def test_a_full_disk_is_one_line_and_keeps_the_old_file(tmp_path: Path, what: str) -> None:
    """A file that may not grow, as on a full disk: every writer says so alike, and leaves what was there."""
    command = [sys.executable, "-c", _FULL, str(tmp_path), what]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.stderr == ""
    [line] = ran.stdout.splitlines()
    assert line.startswith(f"cannot write '{tmp_path}")
    assert "File too large" in line
    assert "--out" in line
    assert not list(tmp_path.glob(".*.tmp"))
    if what == "checkpoint":
        assert len(checkpoints.load(tmp_path / "file").tensors["a"]) == 10


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_changed_byte_is_found(tmp_path: Path, place: float) -> None:
    path = tmp_path / "c.safetensors"
    checkpoints.save(path, tensors={"a": torch.arange(1000.0)}, state={"step": 1})
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged|is not a checkpoint") as error:
        checkpoints.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_cut_file_is_found(tmp_path: Path, length: int) -> None:
    path = tmp_path / "c.safetensors"
    checkpoints.save(path, tensors={"a": torch.arange(1000.0)}, state={"step": 1})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoints.load(path)


def test_other_files_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="train first"):
        checkpoints.load(tmp_path / "nothing")
    path = tmp_path / "evil"
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoints.load(path)
    assert not _Evil.ran


class _Evil:
    ran = False

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _Evil.run, ("",)

    @staticmethod
    def run(_: str) -> None:
        _Evil.ran = True


def test_no_permission_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable, match="cannot write"):
        checkpoints.save(tmp_path / "file" / "c", tensors={}, state={})


_WRITER = """
import sys, torch
from collections.abc import Callable
from pathlib import Path
from typing import Any
from robustsuite.runs import checkpoints
step = 0
while True:
    step += 1
    tensors = {"a": torch.full((300_000,), float(step)), "b": torch.tensor(step)}
    checkpoints.save(Path(sys.argv[1]), tensors=tensors, state={"step": step})
    if step == 3:
        print("going", flush=True)
"""


@pytest.mark.parametrize("delay", [0.003, 0.017, 0.041])
def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "c.safetensors"
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = checkpoints.load(path)
    step = found.state["step"]
    assert step >= 3
    assert int(found.tensors["b"]) == step
    assert bool((found.tensors["a"] == step).all())


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_an_optimizer_continues_to_the_bit(
    tmp_path: Path, make: Callable[..., torch.optim.Optimizer]
) -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        optimizer.step()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    options: dict[str, Any] = {"lr": 0.01} | ({"momentum": 0.9} if make is torch.optim.SGD else {})
    optimizer = make(model.parameters(), **options)
    step(model, optimizer)
    saved = checkpoints.join(
        model=Checkpoint(tensors=dict(model.state_dict())), optimizer=checkpoints.flatten_optimizer(optimizer)
    )
    checkpoints.save(tmp_path / "c", tensors=saved.tensors, state=saved.state)
    step(model, optimizer)

    other = nn.Linear(3, 2)
    resumed = make(other.parameters(), lr=1.0)
    found = checkpoints.load(tmp_path / "c")
    other.load_state_dict(found.part("model").tensors)
    checkpoints.restore_optimizer(resumed, found.part("optimizer"))
    step(other, resumed)
    _same(dict(other.state_dict()), dict(model.state_dict()))


def test_an_optimizer_of_another_model_is_refused() -> None:
    saved = checkpoints.flatten_optimizer(torch.optim.Adam(nn.Linear(3, 2).parameters()))
    with pytest.raises(CheckpointError, match="another optimiser"):
        checkpoints.restore_optimizer(torch.optim.Adam(nn.Linear(3, 2, bias=False).parameters()), saved)


def test_random_generators_continue(tmp_path: Path) -> None:
    one, two = torch.Generator().manual_seed(5), np.random.default_rng(5)
    legacy = np.random.Generator(np.random.MT19937(5))
    torch.rand(7, generator=one), two.random(7), legacy.random(7)
    saved = checkpoints.join(
        own=checkpoints.flatten_generators(one=one, two=two, legacy=legacy),
        everywhere=checkpoints.flatten_global_random(),
    )
    checkpoints.save(tmp_path / "c", tensors=saved.tensors, state=saved.state)

    def draw() -> list[float]:
        shared = [float(torch.rand(1)), float(np.random.random()), random.random(), float(np.random.normal())]
        return [float(torch.rand(1, generator=one)), float(two.random()), float(legacy.random()), *shared]

    expected = draw()
    found = checkpoints.load(tmp_path / "c")
    checkpoints.restore_generators(found.part("own"), one=one, two=two, legacy=legacy)
    checkpoints.restore_global_random(found.part("everywhere"))
    assert draw() == expected
    with pytest.raises(CheckpointError, match="random generator 'three'"):
        checkpoints.restore_generators(found.part("own"), three=two)


def test_an_absent_part_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"no part 'replay' \(parts: model\)"):
        checkpoints.join(model=Checkpoint()).part("replay")
