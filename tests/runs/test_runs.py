"""Runs: a complete folder, nothing overwritten unasked, the same recipe when resuming."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from robustsuite.errors import InvalidInput
from robustsuite.recipes import Recipe
from robustsuite.runs import files
from robustsuite.runs.files import NotWritable
from robustsuite.runs.run import ProgressEvent, Run


@pytest.fixture
def recipe(toy: Path) -> Recipe:
    found: Recipe = importlib.import_module("toydomain").RECIPES["count"]()
    return found


def test_a_run_is_not_overwritten_unasked(toy: Path, recipe: Recipe) -> None:
    run = Run.create(toy / "a", recipe)
    assert run.recipe_file.exists()
    assert run.checkpoints.is_dir()
    assert not run.resume
    with pytest.raises(InvalidInput, match="exists; continue it with --resume"):
        Run.create(toy / "a", recipe)
    assert Run.create(toy / "a", recipe, resume=True).resume
    assert Run.open(toy / "a").resume


def test_replacing_removes_what_a_run_wrote_and_nothing_else(toy: Path, recipe: Recipe) -> None:
    run = Run.create(toy / "a", recipe)
    (run.checkpoints / "last").write_text("x")
    (run.path / "notes.txt").write_text("mine")
    Run.create(toy / "a", recipe, replace=True)
    assert not list(run.checkpoints.iterdir())
    assert (run.path / "notes.txt").exists()


def test_resuming_asks_for_the_same_recipe(toy: Path, recipe: Recipe) -> None:
    with pytest.raises(InvalidInput, match="no run at .* to resume"):
        Run.create(toy / "a", recipe, resume=True)
    Run.create(toy / "a", recipe)
    with pytest.raises(InvalidInput, match="another recipe \\(seed: 0 != 1\\)"):
        Run.create(toy / "a", replace(recipe, seed=1), resume=True)
    (toy / "a" / "recipe.json").write_text("{")
    with pytest.raises(InvalidInput, match="is damaged"):
        Run.create(toy / "a", recipe, resume=True)


def test_leftovers_of_a_kill_are_removed_when_resuming(toy: Path, recipe: Recipe) -> None:
    run = Run.create(toy / "a", recipe)
    (run.checkpoints / ".last.safetensors.123.tmp").write_text("half")
    (run.checkpoints / ".mine.tmp").mkdir()
    Run.create(toy / "a", recipe, resume=True)
    assert list(run.checkpoints.iterdir()) == [run.checkpoints / ".mine.tmp"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path, words in (
        (pipe, "it is no regular file"),
        (link, "it is no regular file"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(NotWritable, match=f"cannot write .*: {words}; choose another place"):
            files.write_text(path, "page")
    for path in (Path(), Path("/"), Path("..")):
        with pytest.raises(InvalidInput, match="expected the path of a file"):
            files.write_text(path, "page")
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    page, link = tmp_path / "below" / "page", tmp_path / "link"
    page.write_text("old")
    link.symlink_to(page)
    files.write_text(link, "new")
    assert link.is_symlink()
    assert page.read_text() == "new"


def test_no_permission_is_one_line(toy: Path, recipe: Recipe) -> None:
    (toy / "file").write_text("")
    with pytest.raises(NotWritable, match="cannot write"):
        Run.create(toy / "file" / "a", recipe)
    with pytest.raises(InvalidInput, match="no run at"):
        Run.open(toy / "nothing")


def test_metrics_are_written_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run.scratch(tmp_path)
    for step in range(3):
        run.log(step, **{"train/loss": 1 / (step + 1)})
    run.close()
    events = EventAccumulator(str(run.metrics)).Reload().Scalars("train/loss")
    assert [event.step for event in events] == [0, 1, 2]
    assert events[2].value == pytest.approx(1 / 3)


def test_progress_reaches_its_end_and_may_begin_in_the_middle(tmp_path: Path) -> None:
    seen: list[ProgressEvent] = []
    run = Run(tmp_path / "name", listener=seen.append)
    with run.progress("training", 1000) as progress:
        progress.to(400)
        for _ in range(600):
            progress.advance()
    assert (seen[0].run, seen[0].description, seen[0].done, seen[0].total) == ("name", "training", 0, 1000)
    assert seen[-1].done == 1000
    assert len(seen) < 100  # throttled


def test_a_scratch_run_goes_with_its_object() -> None:
    run = Run.scratch()
    path = run.path
    assert run.checkpoints.is_dir()
    del run
    assert not path.exists()
