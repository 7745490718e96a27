"""Agents on disk: weights and settings as safetensors with JSON, so that a stranger's file runs no code.

stable-baselines3's archives hold pickles, which run code when they are opened: `load` opens one only where the caller
trusts it. What is written of an algorithm stands in its class attributes. See `robust.Robust`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common import torch_layers
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from torch import nn, optim

from robustsuite.arguments import described
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints, files, serialization
from robustsuite.runs.checkpoints import Checkpoint

from ..training.robustness import Robustness
from . import state

if TYPE_CHECKING:
    from .robust import Robust

SUFFIX = ".safetensors"
_HOMES: Mapping[str, tuple[ModuleType, type]] = {
    "torch.nn": (nn, nn.Module),
    "torch.optim": (optim, optim.Optimizer),
    "stable_baselines3.common.torch_layers": (torch_layers, nn.Module),
}
"""Where the classes among a policy's settings may come from, and what they must be."""


def _named(cls: type[Robust]) -> tuple[str, ...]:
    """Give the settings that may be left out of the file, and given on loading."""
    return (*cls.VALUES, "policy_kwargs")


def pack(agent: Robust, *, without: Iterable[str] = ()) -> Checkpoint:
    """Give parameters, settings, counters and statistics of an agent; neither its replay buffer nor its environment.

    Raises:
        InvalidInput: a setting that JSON cannot hold, and that is not among `without`.
    """
    without = (without,) if isinstance(without, str) else tuple(without)
    named = _named(type(agent))
    for name in without:
        if name not in named:
            raise InvalidInput(f"exclude names {name!r}; expected some of {', '.join(named)}")
    policy = agent.policy_name
    if policy is None:
        raise InvalidInput(
            f"policy is {described(agent.policy_class)}; expected {' or '.join(agent.POLICIES)}"
        )
    _check_buffer(agent)
    settings: dict[str, Any] = {name: _plain(agent.setting(name)) for name in agent.SETTINGS}
    for name in set(named) - set(without):
        settings[name] = _written(name, agent.setting(name))
    shown, taken = _space(agent.observation_space), _space(agent.action_space)
    parts = {
        "settings": Checkpoint(state={"kind": agent.KIND, "policy": policy, "settings": settings}),
        "observations": shown,
        "actions": taken,
        "parameters": state.capture_parameters(agent),
        "counters": Checkpoint(state={name: getattr(agent, name) for name in agent.COUNTERS}),
    }
    normalizer = state.capture_normalizer(agent.env) if agent.env is not None else agent._normalizer
    if normalizer is not None:
        parts["normalizer"] = normalizer
    return checkpoints.join(**parts)


def _check_buffer(agent: Any) -> None:
    """Check that an agent's replay buffer can be made anew from its settings."""
    kind = getattr(agent, "replay_buffer_class", None)
    own = (None, ReplayBuffer, NStepReplayBuffer, DictReplayBuffer)
    if kind in own and not getattr(agent, "replay_buffer_kwargs", {}).keys() - {"n_steps", "gamma"}:
        return
    if hasattr(kind, "capture"):
        return
    raise InvalidInput(
        f"the replay buffer is {described(kind)} with settings of its own; expected that of stable-baselines3: save the "
        "policy alone, with torch.save(agent.policy.state_dict(), path)"
    )


def settings_of(
    saved: Checkpoint, cls: type[Robust], changes: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Give the name of the policy and the keywords of the algorithm.

    Args:
        saved: from `pack`.
        cls: the algorithm.
        changes: keywords in place of those in the file.

    Raises:
        CheckpointError: another kind of checkpoint.
        InvalidInput: an unknown keyword, or one that is neither in the file nor given.
    """
    written = saved.part("settings").state
    if written.get("kind") != cls.KIND or written.get("policy") not in cls.POLICIES:
        raise CheckpointError(
            f"checkpoint is of kind {written.get('kind')!r}; expected an agent that {cls.__name__} saved"
        )
    named = _named(cls)
    known = (*cls.SETTINGS, *named)
    for name in changes:
        if name not in known:
            raise InvalidInput(f"load got {name!r}; expected settings of the agent: {', '.join(known)}")
    settings = {name: _read(name, value) for name, value in written["settings"].items() if name in known}
    settings |= dict(changes)
    missing = [name for name in named if name not in settings]
    if missing:
        raise InvalidInput(
            f"the file was saved without {missing[0]}; pass it: {cls.__name__}.load(path, {missing[0]}=...)"
        )
    return written["policy"], settings


def spaces_of(saved: Checkpoint) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """Give the spaces of observations and actions of the environment that an agent was trained on."""
    return _space_of(saved.part("observations")), _space_of(saved.part("actions"))


def normalizer_of(saved: Checkpoint) -> Checkpoint | None:
    """Give the statistics of the VecNormalize that an agent was trained in."""
    return saved.part("normalizer") if "normalizer" in saved.state.get("parts", ()) else None


def fill(agent: Robust, saved: Checkpoint) -> None:
    """Put the weights and the optimisers' states of `pack` into an agent.

    Raises:
        CheckpointError: they are of another network.
    """
    state.restore_parameters(agent, saved.part("parameters"))


def _space(space: spaces.Space[Any]) -> Checkpoint:
    if isinstance(space, spaces.Discrete):
        return Checkpoint(state={"kind": "discrete", "count": int(space.n), "start": int(space.start)})
    if isinstance(space, spaces.Dict):
        return checkpoints.join(**{key: _space(part) for key, part in space.items()})
    assert isinstance(space, spaces.Box)
    # Float64 holds the ends of all observations of up to 32 bits.
    ends = {
        name: torch.from_numpy(np.asarray(getattr(space, name), dtype=np.float64)) for name in ("low", "high")
    }
    return Checkpoint(tensors=ends, state={"kind": "box", "dtype": str(space.dtype)})


def _space_of(saved: Checkpoint) -> spaces.Space[Any]:
    if "parts" in saved.state:
        return spaces.Dict({key: _space_of(saved.part(key)) for key in saved.state["parts"]})
    if saved.state["kind"] == "discrete":
        return spaces.Discrete(int(saved.state["count"]), start=int(saved.state["start"]))
    dtype = np.dtype(saved.state["dtype"])
    low, high = (saved.tensors[name].numpy().astype(dtype) for name in ("low", "high"))
    return spaces.Box(low, high, dtype=dtype.type)


def found(path: object, cls: type[Robust], *, suffixes: tuple[str, ...] = ("", SUFFIX, ".zip")) -> Path:
    """Give the file that a path without its suffix may mean.

    Raises:
        CheckpointError: there is none.
    """
    given = files.checked_path(path)
    for suffix in suffixes:
        candidate = given.with_name(given.name + suffix)
        if candidate.is_file():
            return candidate
    raise CheckpointError(f"no agent at '{given}'; expected a file that {cls.__name__}.save wrote")


def is_archive(path: Path) -> bool:
    """Say whether a file is an archive of stable-baselines3."""
    return zipfile.is_zipfile(path)


def check_trusted(path: Path, what: str, *, trust: bool) -> None:
    """Refuse a pickle that the caller does not trust.

    Raises:
        CheckpointError: `trust` is not True.
    """
    if trust is not True:
        raise CheckpointError(
            f"'{path}' is of stable-baselines3's own form, a pickle, which can run any code when it is opened; if you made "
            f"it yourself, {what}(path, trust=True) opens it"
        )


def _written(name: str, value: Any) -> Any:
    """Give a setting in JSON's terms.

    Raises:
        InvalidInput: it cannot be written, or would not be read again.
    """
    try:
        if name == "policy_kwargs" or value is None:
            return _plain(value)
        if isinstance(value, int | float):
            return float(value)
        text = serialization.to_json(value)
        serialization.from_json(text, _kind(name))
    except InvalidInput as error:
        raise InvalidInput(
            f"{name} cannot be saved without a pickle ({error}); expected numbers, or dataclasses of the suite: leave it out "
            f"by save(path, exclude=['{name}']) and pass it to load"
        ) from None
    return {"json": text}


def _read(name: str, value: Any) -> Any:
    if isinstance(value, dict) and "json" in value:
        return serialization.from_json(str(value["json"]), _kind(name))
    return _rich(value)


def _kind(name: str) -> type:
    return Robustness if name == "robustness" else object


def _plain(value: Any) -> Any:
    """Write numbers, texts, lists, dicts, and classes of torch and stable-baselines3."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise InvalidInput("it holds a dict whose keys are no texts")
        return {"dict": {key: _plain(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_plain(item) for item in value]}
    if isinstance(value, type):
        for home, (module, kind) in _HOMES.items():
            named: object = getattr(module, value.__name__, None)
            if named is value and issubclass(value, kind):
                return {"class": f"{home}:{value.__name__}"}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InvalidInput(f"it holds {described(value)}")


def _rich(value: Any) -> Any:
    """Read what `_plain` wrote.

    Raises:
        CheckpointError: something else.
    """
    if isinstance(value, dict) and len(value) == 1:
        [(tag, inner)] = value.items()
        if tag == "dict":
            return {key: _rich(item) for key, item in inner.items()}
        if tag in ("list", "tuple"):
            return [_rich(item) for item in inner] if tag == "list" else tuple(_rich(item) for item in inner)
        if tag == "class":
            home, _, name = str(inner).partition(":")
            if home in _HOMES:
                module, kind = _HOMES[home]
                chosen = getattr(module, name, None)
                if isinstance(chosen, type) and issubclass(chosen, kind):
                    return chosen
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(
        f"the file holds {described(value)} among the policy's settings; it is of another version"
    )
