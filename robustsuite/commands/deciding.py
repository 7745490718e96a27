"""Decide a VNN-LIB property of an ONNX network, both in files, within a time. What an answer means: `formats.decision`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import torch

from robustsuite import seeding
from robustsuite.bounds.tracing import graph
from robustsuite.formats import OnnxNetwork, load_onnx, load_vnnlib
from robustsuite.formats.decision import Decision, Result, check_timeout, decide
from robustsuite.formats.reference import onnxruntime_of

GRACE = 2.0
"""Seconds beyond the timeout, after which whatever is under way is broken off."""

_AGAIN = 0.25  # seconds from one alarm to the next
_SMALL = 20_000  # parameters up to which one thread is quicker than several (ACAS Xu has 13,000)


def decide_files(
    network: Path,
    specification: Path,
    *,
    timeout: float = 60.0,
    device: str = "cpu",
    seed: int = 0,
    sound: bool = False,
) -> Decision:
    """Decide a VNN-LIB property of an ONNX network.

    Where onnxruntime is installed, a counterexample is run through it too.

    Args:
        network: an ONNX file, may be gzipped.
        specification: a VNN-LIB file, may be gzipped.
        timeout: seconds for all of it, > 0.
        device: where to compute.
        seed: of the attack's starting points.
        sound: see `decide`.

    Raises:
        InvalidInput: a file is absent or malformed, or they do not fit each other.
        UnsupportedOperator: the network holds an operator that is not known.
    """
    check_timeout(timeout)
    seeding.derive(seed)  # a seed that is none is refused before anything is read
    import robustsuite.commands.preloaded  # noqa: F401  an alarm within an import would leave half a module

    start = time.monotonic()
    decision = Decision(result=Result.TIMEOUT)
    with time_limit(timeout + GRACE):
        unsafe = load_vnnlib(specification)
        net = load_onnx(network).to(device)
        left = timeout - (time.monotonic() - start)
        if left > 0:
            with _few_threads(net):
                decision = decide(
                    net, unsafe, timeout=left, seed=seed, sound=sound, reference=onnxruntime_of(network)
                )
    return replace(decision, seconds=time.monotonic() - start)


@contextmanager
def _few_threads(net: OnnxNetwork) -> Iterator[None]:
    """Work in one thread on small networks, where handing work to others costs more than they do."""
    before = torch.get_num_threads()
    if sum(p.numel() for p in net.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Break off what runs inside after so many seconds, at the next Python instruction; nothing is raised.

    The backstop for steps that look at the clock too seldom. While a network is traced it waits: torch would be left
    in a state in which nothing works any more. Outside the main thread, and on systems without interval timers, it
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    class Expired(BaseException):
        """Not caught by anything inside."""

    leaving = False

    def expire(_: int, frame: FrameType | None) -> None:
        if not (leaving or _is_tracing(frame)):
            raise Expired

    before = signal.signal(signal.SIGALRM, expire)
    # It may come too early, and Python drops what is raised in a destructor: so it comes again.
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), _AGAIN)
    try:
        yield
        leaving = True
    except Expired:
        leaving = True
    finally:
        leaving = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_tracing(frame: FrameType | None) -> bool:
    """Say whether `bounds.trace` is among the callers of a frame, itself included."""
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == (graph.__name__, graph.trace.__name__):
            return True
        frame = frame.f_back
    return False
