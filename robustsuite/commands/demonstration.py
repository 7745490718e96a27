"""The demo: the demo recipes of every domain, each run in a process of its own, then one table and one report.

A process has one torch thread: the demo's networks are small, and two runs on two cores are quicker than one run on
both. What a run prints goes into its folder's output.log, so that the screen stays readable.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from robustsuite import interruption
from robustsuite.arguments import check_number
from robustsuite.commands import console
from robustsuite.errors import RobustsuiteError
from robustsuite.recipes import Recipe, discover
from robustsuite.runs import files
from robustsuite.runs.run import Listener, ProgressEvent, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finished:
    """What a process sends last: the reason of its failure in one line, or None."""

    run: str
    failure: str | None


class _Messages(Protocol):
    """The queue between the processes, as far as it is used here."""

    def put(self, message: ProgressEvent | _Finished, /) -> None: ...

    def get(self, *, timeout: float) -> ProgressEvent | _Finished: ...


def run(out: Path, *, seed: int, device: str, jobs: int, resume: bool) -> int:
    """Run the demo and give its exit code: 0 if every run succeeded and the results are consistent.

    Args:
        out: folder of the runs and of report.html; runs of an earlier demo are replaced, unless resumed.
        seed: of every run.
        device: of every run.
        jobs: processes at a time, >= 1.
        resume: keep finished runs and continue the others from their checkpoints.
    """
    from robustsuite.report import page, terminal

    check_number("jobs", jobs, integer=True, least=1)
    begun = time.monotonic()
    found = discover()
    failures = list(found.failures.values())
    recipes = [
        replace(domain.recipes[name](), seed=seed, device=device)
        for domain in found.domains.values()
        for name in domain.demo
    ]
    files.make_folder(out)
    try:
        with console.drawing(prefix_run=True) as listener:
            failures += _run_all(recipes, out, jobs=jobs, resume=resume, listener=listener)
    except KeyboardInterrupt:
        console.say(f"interrupted; continue with: robustsuite demo --out {out} --seed {seed} --resume")
        return interruption.EXIT_CODE
    done = [out / recipe.name for recipe in recipes if (out / recipe.name / "records.parquet").exists()]
    content = page.collect(done, title="robustsuite demo") if done else None
    if content is not None:
        page.write(content, out / "report.html")
        for table in terminal.tables(content):
            console.out.print(table)
    problems = failures + list(content.violations if content is not None else ())
    for line in problems:
        console.say(f"error: {line}")
    console.say(f"{len(done)} of {len(recipes)} runs in {time.monotonic() - begun:.0f} s")
    if content is not None:
        console.say(f"report: {out / 'report.html'}")
    return 1 if problems else 0


def _run_all(
    recipes: Sequence[Recipe], out: Path, *, jobs: int, resume: bool, listener: Listener
) -> list[str]:
    """Run recipes in processes, `jobs` at a time, and give one line for each failure."""
    context = multiprocessing.get_context("spawn")
    messages: _Messages = context.Queue()
    waiting, failures = list(recipes), list[str]()
    active: dict[str, BaseProcess] = {}
    try:
        while waiting or active:
            while waiting and len(active) < jobs:
                recipe = waiting.pop(0)
                process: BaseProcess = context.Process(
                    target=_work, args=(recipe, out / recipe.name, resume, messages)
                )
                with interruption.left_to_the_parent():
                    process.start()
                active[recipe.name] = process
            try:
                message = messages.get(timeout=0.2)
            except queue.Empty:
                # A process that was killed sends nothing: its exit code tells.
                dead = [name for name, process in active.items() if process.exitcode not in (None, 0)]
                for name in dead:
                    code = active.pop(name).exitcode
                    failures.append(
                        f"run '{name}' ended with exit code {code}; see {out / name / 'output.log'}"
                    )
                continue
            if isinstance(message, ProgressEvent):
                listener(message)
            else:
                active.pop(message.run).join()
                if message.failure is not None:
                    failures.append(f"run '{message.run}': {message.failure}")
    finally:
        for process in active.values():
            process.terminate()
    return failures


def _work(recipe: Recipe, path: Path, resume: bool, messages: _Messages) -> None:
    """Train and measure one recipe, in a process of its own."""
    from robustsuite.runs import records

    failure: str | None = None
    try:
        _redirect_output(files.make_folder(path) / "output.log")
        import torch

        torch.set_num_threads(1)
        if not (resume and (path / "records.parquet").exists()):
            begun = (path / "recipe.json").exists()
            run = Run.create(path, recipe, resume=resume and begun, replace=not resume, listener=messages.put)
            try:
                recipe.train(run)
                records.write(recipe.evaluate(run), run.records)
            finally:
                run.close()
    except RobustsuiteError as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    except Exception as error:  # noqa: BLE001  the log keeps the traceback, the screen one line
        import traceback

        traceback.print_exc()
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}; see {path / 'output.log'}"
    messages.put(_Finished(run=recipe.name, failure=failure))


def _redirect_output(log: Path) -> None:
    """Send what this process prints, native libraries included, to a file."""
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
