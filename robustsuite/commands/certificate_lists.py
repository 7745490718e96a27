"""Decide lists of instances, each in a process of its own: what one does to its process, no other one feels.

The processes are forked from one that has imported everything, so that the next instance starts at once, and are killed
when their time is over, or when this process ends in any way. An accelerator cannot be used in a forked process: there,
each process imports everything anew, before its clock starts.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

from robustsuite import interruption, seeding
from robustsuite.commands.deciding import GRACE
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.formats import Instance, read_instances
from robustsuite.formats.decision import check_timeout
from robustsuite.runs.files import NotWritable, checked_path, replacing

_COLUMNS = ["network", "property", "result", "seconds"]
_LAST = 1.0  # seconds beyond the grace that a process has itself, until it is killed
_DEFAULT = 60.0  # seconds, where nothing says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What is the same for all instances; see `decide_all`."""

    timeout: float | None
    device: str
    seed: int
    sound: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """A line of the results, and why if it is an error."""

    word: str
    seconds: float
    reason: str = ""


def decide_all(
    path: Path,
    *,
    timeout: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    sound: bool = False,
    results: Path | None = None,
    resume: bool = False,
) -> int:
    """Decide a list of instances, print a line for each as it is decided, and write the results if asked to.

    An instance that cannot be read, or whose process ends badly, is reported as an error and passed over. As with all
    processes of `multiprocessing`, a script has to call this under ``if __name__ == "__main__"``.

    Args:
        path: see `read_instances`.
        timeout: seconds for each instance; by default the list's, else 60.
        device, seed, sound: see `robustsuite.commands.deciding.decide_files`.
        results: CSV file, written anew after each instance.
        resume: keep the lines that `results` has.

    Returns:
        0, or 1 where an instance ended in an error.

    Raises:
        InvalidInput: the list is absent or malformed, or `results` exists and is not to be resumed.
        NotWritable: `results` cannot be written.
    """
    if timeout is not None:
        check_timeout(timeout)
    if resume and results is None:
        raise InvalidInput("resume needs the results of the interrupted call; give --results too")
    seeding.derive(seed)  # a seed that is none is refused here, and not for each instance
    names = _names(read_instances(path))
    done = _results_so_far(results, resume=resume)
    _write(results, done)  # a place that cannot be written is refused before anything is computed
    options = _Options(timeout=timeout, device=device, seed=seed, sound=sound)
    counts: dict[str, int] = {}
    for key, instance in names.items():
        if key in done:
            continue
        answer = _decide_apart(instance, options)
        if answer.reason:
            print(f"error: {answer.reason}", file=sys.stderr, flush=True)
        counts[answer.word] = counts.get(answer.word, 0) + 1
        print(f"{answer.word:8s}{answer.seconds:9.1f} s  {key[0]}  {key[1]}", flush=True)
        done[key] = [*key, answer.word, f"{answer.seconds:.3f}"]
        _write(results, done)
    print(", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing left to decide")
    return 1 if "error" in counts else 0


_Key = tuple[str, str]


def _names(instances: tuple[Instance, ...]) -> dict[_Key, Instance]:
    """Name each instance by its files; by their paths where others have the same names. Repetitions are left out."""
    different = {(i.network, i.specification): i for i in reversed(instances)}
    in_order = [different[key] for key in dict.fromkeys((i.network, i.specification) for i in instances)]
    short = [(i.network.name, i.specification.name) for i in in_order]
    counts = Counter(short)
    return {
        name if counts[name] == 1 else (str(i.network), str(i.specification)): i
        for name, i in zip(short, in_order, strict=True)
    }


def _results_so_far(results: Path | None, *, resume: bool) -> dict[_Key, list[str]]:
    if results is None or not checked_path(results).exists():
        return {}
    if not resume:
        raise InvalidInput(f"{results} exists; continue it with --resume, or give another file")
    try:
        if not results.is_file():  # opening a pipe waits for who writes to it
            raise OSError
        with results.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error):
        rows = []
    if not rows or rows[0] != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise InvalidInput(f"{results} is not a file of results; give another one")
    return {(row[0], row[1]): row for row in rows[1:] if row[2] != "error"}


def _write(results: Path | None, done: dict[_Key, list[str]]) -> None:
    if results is None:
        return
    try:
        with replacing(results) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([_COLUMNS, *done.values()])
    except NotWritable as error:
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else None
        raise NotWritable(
            f"cannot write '{results}': {reason or error}; choose another file with --results, or free this one"
        ) from error


def _decide_apart(instance: Instance, options: _Options) -> _Answer:
    """Decide an instance in a process of its own, which is gone afterwards."""
    timeout = options.timeout if options.timeout is not None else instance.timeout
    timeout = _DEFAULT if timeout is None else timeout
    forked = options.device.split(":")[0] == "cpu" and "forkserver" in multiprocessing.get_all_start_methods()
    context = _forking() if forked else multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, instance, timeout, options), daemon=True)
    begin = time.monotonic()
    try:
        # A forked process has this from its server, for whose start Ctrl-C need not wait.
        hidden: AbstractContextManager[None] = nullcontext() if forked else interruption.left_to_the_parent()
        with hidden:
            process.start()
        theirs.close()
        answer = ours.recv()  # None: it is ready, and its clock starts
        if answer is None:
            begin = time.monotonic()
            if not ours.poll(timeout + GRACE + _LAST):
                return _Answer("timeout", time.monotonic() - begin)
            answer = ours.recv()
        assert isinstance(answer, _Answer)
        if not forked:  # it has things of its own to put away
            process.join(_LAST)
        return answer
    except EOFError:
        process.join()
        return _Answer("error", time.monotonic() - begin, _end_of(process.exitcode, instance))
    finally:
        ours.close()
        if process.pid is not None:
            process.kill()
            process.join()


def _end_of(code: int | None, instance: Instance) -> str:
    """Say how a process ended that gave no answer."""
    how = f"ended with exit code {code}"
    if code is not None and code < 0:
        how = f"was killed by signal {-code} ({signal.strsignal(-code)})"
    return (
        f"the process that decided {instance.specification} of {instance.network} {how}; "
        "where memory ran out, decide it alone or on a larger machine"
    )


def _forking() -> multiprocessing.context.ForkServerContext:
    """Give the way to fork processes from a server that has imported everything, and see that it runs."""
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["robustsuite.commands.certificate_server"])
    with interruption.left_to_the_parent():
        forkserver.ensure_running()
    return context


def _work(results: connection.Connection, instance: Instance, timeout: float, options: _Options) -> None:
    """Decide an instance and send the answer; in its process, where Ctrl-C is none of its business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    with suppress(BrokenPipeError):  # nobody waits for it any more
        results.send(_answer(results, instance, timeout, options))


def _answer(results: connection.Connection, instance: Instance, timeout: float, options: _Options) -> _Answer:
    import torch

    import robustsuite.commands.preloaded  # noqa: F401  loaded already, where the process was forked
    from robustsuite.commands.deciding import decide_files

    try:
        torch.empty(1, device=options.device)  # starting a device is none of the instance's time either
        results.send(None)
        decision = decide_files(
            instance.network,
            instance.specification,
            timeout=timeout,
            device=options.device,
            seed=options.seed,
            sound=options.sound,
        )
    except BrokenPipeError:
        raise
    except RobustsuiteError as error:
        return _Answer("error", 0.0, str(error))
    except Exception as error:  # noqa: BLE001  one line for people, and the list goes on
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return _Answer("error", 0.0, f"{instance.specification} of {instance.network}: {line}")
    return _Answer(decision.result.value, decision.seconds)


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
