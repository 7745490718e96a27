"""What a trace bakes in: everything of a module but its parameters and buffers.

A graph reads parameters and buffers whenever it is used. Numbers, functions, plain tensors, hooks and the modules
themselves are taken once, when the module is traced. If one of them has changed since, the graph is of a network that
is no longer there; it is refused then, and the message says what has changed.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Iterator, Mapping, MutableSequence, MutableSet, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from robustsuite.errors import InvalidInput

_GONE = object()
_PLAIN = (
    *(bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device),
    *(type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType),
    *(property, staticmethod, classmethod),
)
_STATE = frozenset(vars(nn.Module()))  # what every module has; of it, a few are looked at by name
_DEPTH = 8  # of objects within objects

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
        presence: (dictionary, names with whether there is a tensor, name) of parameters and buffers.
        ties: (place, other place, name) of parameters that are one.
    """

    entries: tuple[tuple[Mapping[Any, Any], Any, Any, str], ...]
    collections: tuple[tuple[Any, tuple[Any, ...], str], ...]
    tensors: tuple[tuple[Mapping[Any, Any], Any, Tensor, str], ...]
    kinds: tuple[tuple[nn.Module, type, str], ...]
    modes: tuple[tuple[nn.Module, str], ...]
    presence: tuple[tuple[Mapping[str, Any], tuple[tuple[str, int], ...], str], ...]
    ties: tuple[tuple[tuple[Mapping[str, Any], str], tuple[Mapping[str, Any], str], str], ...]

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
        for held, present, name in self.presence:
            if _present(held) != present:
                raise _changed(name)
        for (first, one), (second, other), name in self.ties:
            if first.get(one) is not second.get(other):
                raise _changed(name)
        for module, name in self.modes:
            if module.training:
                raise InvalidInput(
                    f"module '{name}' ({type(module).__name__}) is in training mode, in which it computes something "
                    "else than what was traced; call model.eval(), or .eval() on that module"
                )


def snapshot(module: nn.Module) -> Snapshot:
    """Look at a module as it is now."""
    return _Look().at(module)


class _Look:
    """One walk over a module and what it holds."""

    def __init__(self) -> None:
        self._entries: list[tuple[Mapping[Any, Any], Any, Any, str]] = []
        self._collections: list[tuple[Any, tuple[Any, ...], str]] = []
        self._tensors: list[tuple[Mapping[Any, Any], Any, Tensor, str]] = []
        self._kinds: list[tuple[nn.Module, type, str]] = []
        self._modes: list[tuple[nn.Module, str]] = []
        self._presence: list[tuple[Mapping[str, Any], tuple[tuple[str, int], ...], str]] = []
        self._ties: list[tuple[tuple[Mapping[str, Any], str], tuple[Mapping[str, Any], str], str]] = []
        self._first: dict[int, tuple[Mapping[str, Any], str]] = {}
        self._seen: set[int] = set()

    def at(self, module: nn.Module) -> Snapshot:
        """Walk, and give what was seen."""
        self._module(module, "")
        return Snapshot(
            entries=tuple(self._entries),
            collections=tuple(self._collections),
            tensors=tuple(self._tensors),
            kinds=tuple(self._kinds),
            modes=tuple(self._modes),
            presence=tuple(self._presence),
            ties=tuple(self._ties),
        )

    def _module(self, module: nn.Module, prefix: str) -> None:
        for path, part in module.named_modules(prefix=prefix):
            if id(part) not in self._seen:
                self._seen.add(id(part))
                self._part(part, path)

    def _part(self, part: nn.Module, path: str) -> None:
        own = vars(part)
        self._kinds.append((part, type(part), path or type(part).__name__))
        of_torch = type(part).__module__.startswith("torch.")  # torch keeps lists of its weights in private
        keys = [k for k in own if k not in _STATE and not (of_torch and str(k).startswith("_"))]
        if not of_torch:
            self._collections.append((own, tuple(own), f"{path or 'the module'} (its attributes)"))
        self._mapping(own, keys, path, _DEPTH)
        for kind in _own_classes(part):
            for key, value in vars(kind).items():
                if not key.startswith("__") or key == "__call__":
                    here = f"{path or kind.__name__}.{key}"
                    self._entries.append((vars(kind), key, value, here))
                    self._entries.append((own, key, own.get(key, _GONE), here))
                    self._within(value, here, _DEPTH)
        self._entries.append((own, "forward", own.get("forward", _GONE), f"{path or 'the module'}.forward"))
        for key, what in (
            ("_modules", "modules"),
            ("_forward_hooks", "hooks"),
            ("_forward_pre_hooks", "hooks"),
        ):
            self._collections.append((own[key], tuple(own[key]), f"{path or 'the module'} (its {what})"))
            for name, value in own[key].items():
                self._entries.append((own[key], name, value, f"{path or 'the module'} (its {what})"))
                self._within(value, f"{path or 'the module'} (its {what})", _DEPTH)
        for key in ("_parameters", "_buffers"):
            held = own[key]
            self._presence.append((held, _present(held), f"{path or 'the module'} (its {key[1:]})"))
            for name, value in held.items():
                first = self._first.setdefault(id(value), (held, name))
                if value is not None and (first[0] is not held or first[1] != name):
                    self._ties.append((first, (held, name), f"{path}.{name}" if path else name))
        if _reads_its_mode(part):
            self._modes.append((part, path or type(part).__name__))

    def _mapping(self, holder: Mapping[Any, Any], keys: Sequence[Any], name: str, depth: int) -> None:
        for key in keys:
            value = holder.get(key, _GONE)
            here = f"{name}.{key}" if name else str(key)
            copy = _as_tensor(value)
            if copy is not None:
                self._tensors.append((holder, key, copy.detach().clone(), here))
                continue
            self._entries.append((holder, key, value, here))
            self._within(value, here, depth)

    def _within(self, value: Any, name: str, depth: int) -> None:
        if isinstance(value, _PLAIN) or id(value) in self._seen or depth == 0:
            return
        self._seen.add(id(value))
        if isinstance(value, nn.Module):  # one that is kept in a list, unknown to torch
            self._seen.discard(id(value))
            self._module(value, name)
        elif isinstance(value, dict):
            self._collections.append((value, tuple(value), f"{name} (its keys)"))
            self._mapping(value, tuple(value), name, depth - 1)
        elif isinstance(value, MutableSequence | MutableSet | tuple | frozenset):
            if isinstance(value, MutableSequence | MutableSet):
                self._collections.append((value, tuple(value), name))
            for part in value:
                self._within(part, name, depth - 1)
        elif isinstance(value, functools.partial):
            self._within([value.func, value.args, value.keywords], name, depth - 1)
        elif hasattr(value, "__dict__"):
            self._mapping(vars(value), tuple(vars(value)), name, depth - 1)
        elif hasattr(type(value), "__slots__"):
            slots = _Slots(value)
            self._mapping(slots, tuple(slots), name, depth - 1)


class _Slots(Mapping[str, Any]):
    """The attributes of an object that has slots in the place of a dictionary."""

    def __init__(self, held: Any) -> None:
        self._held = held
        names = (getattr(kind, "__slots__", ()) for kind in type(held).__mro__)
        self._names = [n for group in names for n in ([group] if isinstance(group, str) else group)]

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self._held, name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _present(held: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((name, value is not None) for name, value in held.items())


def _as_tensor(value: Any) -> Tensor | None:
    """Give a tensor, or what an array of numpy holds."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value) if value.dtype.kind in "biuf" and value.dtype.isnative else None
    return value if isinstance(value, Tensor) else None


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
    values = (v for kind in _kinds_of(module) for v in vars(kind).values())
    return any(_asks(code) for code in map(_code_of, values) if code is not None)


def _code_of(value: Any) -> types.CodeType | None:
    value = inspect.unwrap(
        getattr(value, "__func__", getattr(value, "fget", value)), stop=lambda f: f is None
    )
    code = getattr(value, "__code__", None)
    return code if isinstance(code, types.CodeType) else None


def _asks(code: types.CodeType) -> bool:
    """Say whether code, or a function made in it, names `training`."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return "training" in code.co_names or "training" in code.co_consts or any(map(_asks, inner))


def _kinds_of(module: nn.Module) -> list[type]:
    return [kind for kind in type(module).__mro__ if kind not in (nn.Module, object)]


def _own_classes(module: nn.Module) -> list[type]:
    """Give the classes of a module that are not torch's."""
    return [kind for kind in _kinds_of(module) if not kind.__module__.startswith(("torch.", "typing", "abc"))]


def _entry_changed(holder: Mapping[Any, Any], key: Any, value: Any) -> bool:
    now = holder.get(key, _GONE)
    return now is not value and not _equal(now, value)


def _collection_changed(collection: Any, values: tuple[Any, ...]) -> bool:
    return len(collection) != len(values) or not all(map(_same, collection, values))


def _tensor_changed(holder: Mapping[Any, Any], key: Any, copy: Tensor) -> bool:
    now = _as_tensor(holder.get(key, _GONE))
    if now is None or now.shape != copy.shape or now.dtype != copy.dtype:
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
