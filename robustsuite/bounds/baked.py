"""What a trace bakes in: everything of a module but its parameters and buffers.

A graph reads parameters and buffers whenever it is used. Numbers, functions, plain tensors, hooks and the modules
themselves are taken once, when the module is traced. If one of them has changed since, the graph is of a network that
is no longer there; it is refused then, and the message says what has changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableSequence, MutableSet
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from robustsuite.errors import InvalidInput

_GONE = object()
_STATE = frozenset(vars(nn.Module()))  # what every module has; of it, these are looked at:
_LOOKED_AT = ("_modules", "_forward_hooks", "_forward_pre_hooks")
_DEPTH = 4  # of objects within objects

# Modules of torch that read `training`, for a dropout that is asked about by itself.
_WITH_DROPOUT = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What a module's function depends on, besides parameters and buffers, at one moment.

    Attributes:
        entries: (dictionary, key, value, name): the value that the dictionary had under the key.
        collections: (collection, its entries, name).
        tensors: (dictionary, key, copy, name) of plain tensors.
        kinds: (object, its class, name).
        modes: (module, path) of modules whose function depends on whether they are being trained.
    """

    entries: tuple[tuple[Mapping[Any, Any], Any, Any, str], ...]
    collections: tuple[tuple[Any, tuple[Any, ...], str], ...]
    tensors: tuple[tuple[dict[Any, Any], Any, Tensor, str], ...]
    kinds: tuple[tuple[nn.Module, type, str], ...]
    modes: tuple[tuple[nn.Module, str], ...]

    def kept(self) -> Snapshot:
        """Leave out what has changed since: what a module changes whenever it is called is its own affair."""
        return replace(
            self,
            entries=tuple(e for e in self.entries if not _entry_changed(*e[:3])),
            collections=tuple(c for c in self.collections if not _collection_changed(*c[:2])),
            tensors=tuple(t for t in self.tensors if not _tensor_changed(*t[:3])),
        )

    def check(self) -> None:
        """Check that all is as it was.

        Raises:
            InvalidInput: something has changed, or a module is in training mode that was traced in eval mode.
        """
        for holder, key, value, name in self.entries:
            if _entry_changed(holder, key, value):
                raise _changed(name)
        for collection, values, name in self.collections:
            if _collection_changed(collection, values):
                raise _changed(name)
        for tensors, key, copy, name in self.tensors:
            if _tensor_changed(tensors, key, copy):
                raise _changed(name)
        for module, kind, name in self.kinds:
            if type(module) is not kind:
                raise _changed(name)
        for module, name in self.modes:
            if module.training:
                raise InvalidInput(
                    f"module '{name}' ({type(module).__name__}) is in training mode, in which it computes something "
                    "else than what was traced; call model.eval(), or .eval() on that module"
                )


def snapshot(module: nn.Module) -> Snapshot:
    """Look at a module as it is now."""
    entries: list[tuple[Mapping[Any, Any], Any, Any, str]] = []
    collections: list[tuple[Any, tuple[Any, ...], str]] = []
    tensors: list[tuple[dict[Any, Any], Any, Tensor, str]] = []
    seen: set[int] = set()

    def look(holder: dict[Any, Any], name: str, depth: int, keys: Iterator[Any]) -> None:
        for key in keys:
            value = holder[key]
            here = f"{name}.{key}" if name else str(key)
            if isinstance(value, Tensor):
                tensors.append((holder, key, value.detach().clone(), here))
                continue
            entries.append((holder, key, value, here))
            within(value, here, depth)

    def within(value: Any, name: str, depth: int) -> None:
        if isinstance(value, nn.Module) or callable(value) or id(value) in seen or depth == 0:
            return
        if isinstance(value, dict):
            seen.add(id(value))
            collections.append((value, tuple(value), f"{name} (its keys)"))
            look(value, name, depth - 1, iter(tuple(value)))
        elif isinstance(value, MutableSequence | MutableSet | tuple | frozenset):
            seen.add(id(value))
            if isinstance(value, MutableSequence | MutableSet):
                collections.append((value, tuple(value), name))
            for part in value:
                within(part, name, depth - 1)
        elif hasattr(value, "__dict__"):
            seen.add(id(value))
            look(vars(value), name, depth - 1, iter(tuple(vars(value))))

    kinds = []
    modes = []
    for path, part in module.named_modules():
        own = vars(part)
        kinds.append((part, type(part), path or type(part).__name__))
        derived = type(part).__module__.startswith("torch.")  # torch keeps lists of its weights in private
        keys = (k for k in tuple(own) if k not in _STATE and not (derived and str(k).startswith("_")))
        look(own, path, _DEPTH, keys)
        for kind in _own_classes(part):
            for key, value in vars(kind).items():
                if not key.startswith("__"):
                    here = f"{path or kind.__name__}.{key}"
                    entries.append((vars(kind), key, value, here))
                    entries.append((own, key, own.get(key, _GONE), here))
        entries.append((own, "forward", own.get("forward", _GONE), f"{path or 'the module'}.forward"))
        for key in _LOOKED_AT:
            held = own[key]
            what = {"_modules": "its modules"}.get(key, "its hooks")
            collections.append((held, tuple(held), f"{path or 'the module'} ({what})"))
            look(held, path, 0, iter(tuple(held)))
        if _reads_its_mode(part):
            modes.append((part, path or type(part).__name__))
    return Snapshot(tuple(entries), tuple(collections), tuple(tensors), tuple(kinds), tuple(modes))


def _reads_its_mode(module: nn.Module) -> bool:
    """Say whether a module's own code asks for its mode; of torch's modules those that are not looked after elsewhere."""
    if isinstance(module, _BatchNorm | _DropoutNd):
        return False  # statistics of the batch are understood; a dropout has an error of its own
    if isinstance(module, _InstanceNorm):
        return bool(module.track_running_stats)
    if isinstance(module, _WITH_DROPOUT):
        return (
            isinstance(getattr(module, "dropout", 0.0), float | int) and getattr(module, "dropout", 0.0) > 0
        )
    codes = (
        getattr(getattr(value, "__func__", value), "__code__", None)
        for kind in type(module).__mro__[: type(module).__mro__.index(nn.Module)]
        for value in vars(kind).values()
    )
    return any(code is not None and "training" in code.co_names for code in codes)


def _own_classes(module: nn.Module) -> list[type]:
    """Give the classes of a module that are not torch's."""
    return [
        kind
        for kind in type(module).__mro__[: type(module).__mro__.index(nn.Module)]
        if not kind.__module__.startswith("torch.")
    ]


def _entry_changed(holder: Mapping[Any, Any], key: Any, value: Any) -> bool:
    now = holder.get(key, _GONE)
    return now is not value and not _equal(now, value)


def _collection_changed(collection: Any, values: tuple[Any, ...]) -> bool:
    return len(collection) != len(values) or not all(map(_same, collection, values))


def _tensor_changed(holder: Mapping[Any, Any], key: Any, copy: Tensor) -> bool:
    now = holder.get(key, _GONE)
    if not isinstance(now, Tensor) or now.shape != copy.shape or now.dtype != copy.dtype:
        return True
    return not torch.equal(now.detach().to(copy.device), copy)


def _same(now: Any, value: Any) -> bool:
    return now is value or _equal(now, value)


def _equal(now: Any, value: Any) -> bool:
    """Say whether plain values are equal; other objects are the same or they are not."""
    if type(now) is not type(value):
        return False
    if isinstance(value, float) and math.isnan(value):
        return math.isnan(now)
    if isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | torch.device | None):
        return bool(now == value)
    if isinstance(value, tuple | list | frozenset):
        return len(now) == len(value) and all(map(_same, now, value))
    return False


def _changed(name: str) -> InvalidInput:
    return InvalidInput(
        f"'{name}' has changed since the module was traced, and a graph follows parameters and buffers alone; trace again"
    )
