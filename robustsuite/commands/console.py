"""What the command line draws: progress of runs, and lines on the two output streams.

Results go to standard output; progress and messages go to standard error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from robustsuite.runs.run import Listener, ProgressEvent

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """Print one line to standard error, as it is."""
    err.print(line, markup=False, soft_wrap=True)


@contextmanager
def drawing(*, prefix_run: bool = False) -> Iterator[Listener]:
    """Give a listener that draws bars on a terminal, and elsewhere prints a line when a part is done.

    Args:
        prefix_run: whether to name the run before the part, where several runs share the screen.
    """
    if err.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=err,
        ) as bars:
            yield _Bars(bars, prefix_run)
    else:
        yield _Lines(prefix_run)


def _label(event: ProgressEvent, prefix_run: bool) -> str:
    return f"{event.run}: {event.description}" if prefix_run else event.description


class _Bars:
    """One bar per part where one run is drawn; one bar per run where there are several."""

    def __init__(self, bars: Progress, prefix_run: bool) -> None:
        self._bars, self._prefix_run = bars, prefix_run
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: ProgressEvent) -> None:
        key = event.run if self._prefix_run else event.description
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(key, total=event.total)
        label = _label(event, self._prefix_run)
        self._bars.update(self._tasks[key], description=label, completed=event.done, total=event.total)


class _Lines:
    """One line at the end of each part."""

    def __init__(self, prefix_run: bool) -> None:
        self._prefix_run = prefix_run
        self._begun: dict[str, float] = {}

    def __call__(self, event: ProgressEvent) -> None:
        label = _label(event, self._prefix_run)
        begun = self._begun.setdefault(label, time.monotonic())
        if event.done >= event.total:
            del self._begun[label]
            say(f"{label}: {event.total} in {time.monotonic() - begun:.0f} s")
