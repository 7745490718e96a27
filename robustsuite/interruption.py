"""Ctrl-C: one line and exit code 130 from the first moment of the command on, and never a traceback.

This module imports nothing heavy: it is in place before torch is loaded.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130
"""The exit code after Ctrl-C, as shells have it."""


class _State:
    """Whether Ctrl-C came, whether this module answers it, and how many blocks of imports are under way."""

    came = False
    installed = False
    importing = 0


def came() -> bool:
    """Say whether Ctrl-C came: libraries turn the exception into others, or drop it."""
    return _State.came


@contextmanager
def answered(*, to_the_end: bool = False) -> Iterator[None]:
    """Answer Ctrl-C by `KeyboardInterrupt` within the block, also where the shell left the signal ignored.

    A shell starts jobs in the background with SIGINT ignored, and Python leaves it at that.

    Args:
        to_the_end: whether the process ends after the block: then Ctrl-C ends it at once, while Python takes its leave.
    """
    if _State.installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _on_interrupt)
    _State.installed, _State.came = True, False
    try:
        yield
    finally:
        _State.installed = False
        after = signal.SIG_DFL if to_the_end else before
        signal.signal(signal.SIGINT, signal.default_int_handler if after is None else after)


@contextmanager
def importing() -> Iterator[None]:
    """Leave the process at once on Ctrl-C within the block: nothing is written yet.

    An exception in the middle of an import leaves modules in halves, and some importers catch it.
    """
    _State.importing += 1
    try:
        yield
    finally:
        _State.importing -= 1


@contextmanager
def left_to_the_parent() -> Iterator[None]:
    """Have processes that start within the block not hear Ctrl-C: who started them ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # comes with every process of multiprocessing, and unblocks the signal when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def told() -> int:
    """Print the one line, and give the exit code."""
    print("interrupted", file=sys.stderr)
    return EXIT_CODE


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    _State.came = True
    if _State.importing:
        os.write(2, b"interrupted\n")
        os._exit(EXIT_CODE)
    raise KeyboardInterrupt
