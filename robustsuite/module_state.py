"""A module's state for a while: evaluation mode, frozen parameters, kept buffers; put back when the last user leaves.

Users may overlap in any order (two attacks on one model in two threads, an attack inside a certificate): each part of a
module remembers its own state when the first of them comes, and gets it back when the last one goes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

_lock = threading.RLock()
_modes: Any = WeakIdKeyDictionary()  # part -> [users, its own mode]
_needs: Any = WeakIdKeyDictionary()  # parameter -> [users, whether it asked for gradients]


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back into its own mode afterwards.

    Args:
        model: a module; anything else has no mode and is left alone.
    """
    parts = list(model.modules()) if isinstance(model, nn.Module) else []
    with _lock:
        _enter(_modes, parts, lambda part: part.training)
        if isinstance(model, nn.Module):
            model.eval()
    try:
        yield
    finally:
        with _lock:
            _leave(_modes, parts, lambda part, mode: setattr(part, "training", mode))


@contextmanager
def frozen(model: object) -> Iterator[None]:
    """Keep a module's parameters out of the graphs that are built: half the memory, and no gradient reaches them.

    Args:
        model: a module; anything else has no parameters to be seen.
    """
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    with _lock:
        _enter(_needs, parameters, lambda p: p.requires_grad)
        for p in parameters:
            p.requires_grad_(False)
    try:
        yield
    finally:
        with _lock:
            _leave(_needs, parameters, lambda p, need: p.requires_grad_(need))


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Give a module's buffers their values back afterwards, whatever its calls do to them."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def _enter(held: Any, items: Iterable[Any], state: Callable[[Any], bool]) -> None:
    for item in items:
        if item in held:
            held[item][0] += 1
        else:
            held[item] = [1, state(item)]


def _leave(held: Any, items: Iterable[Any], restore: Callable[[Any, bool], object]) -> None:
    for item in items:
        held[item][0] -= 1
        if held[item][0] == 0:
            restore(item, held.pop(item)[1])
