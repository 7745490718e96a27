"""SA-DQN on disk: weights and settings as safetensors with JSON, so that a stranger's file runs no code.

stable-baselines3's archives hold pickles, which run code when they are opened: `SADQN.load` opens one only where the caller
trusts it.
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
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.dqn.policies import CnnPolicy, MlpPolicy
from torch import nn, optim

from robustsuite.arguments import described
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints, files, serialization
from robustsuite.runs.checkpoints import Checkpoint

from ..training.robustness import Robustness

if TYPE_CHECKING:
    from .sa_dqn import SADQN

SUFFIX = ".safetensors"
_KIND = "sa-dqn"
_POLICIES = {"MlpPolicy": MlpPolicy, "CnnPolicy": CnnPolicy}
_HOMES: Mapping[str, tuple[ModuleType, type]] = {
    "torch.nn": (nn, nn.Module),
    "torch.optim": (optim, optim.Optimizer),
    "stable_baselines3.common.torch_layers": (torch_layers, nn.Module),
}
"""Where the classes among a policy's settings may come from, and what they must be."""

_PLAIN = (
    *("buffer_size", "learning_starts", "batch_size", "tau", "gamma", "gradient_steps", "n_steps"),
    *("optimize_memory_usage", "target_update_interval", "exploration_initial_eps", "exploration_final_eps"),
    *("exploration_fraction", "max_grad_norm", "tensorboard_log", "verbose", "seed"),
)
"""Settings that are numbers, texts or truth values, by their name as keyword and as attribute."""

COUNTERS = (
    *("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "_total_timesteps"),
    *("exploration_rate", "_current_progress_remaining", "ramp_start"),
)
SETTINGS = (*_PLAIN, "learning_rate", "train_freq", "policy_kwargs", "robustness", "stats_window_size")
_NAMED = ("learning_rate", "policy_kwargs", "robustness")
"""Settings that may be left out of the file, and given on loading."""


def pack(agent: SADQN, *, without: Iterable[str] = ()) -> Checkpoint:
    """Give weights, optimiser, settings and counters of an agent; neither its replay buffer nor its environment.

    Raises:
        InvalidInput: a setting that JSON cannot hold, and that is not among `without`.
    """
    without = (without,) if isinstance(without, str) else tuple(without)
    for name in without:
        if name not in _NAMED:
            raise InvalidInput(f"exclude names {name!r}; expected some of {', '.join(_NAMED)}")
    policy = next((name for name, kind in _POLICIES.items() if agent.policy_class is kind), None)
    if policy is None:
        raise InvalidInput(f"policy is {described(agent.policy_class)}; expected {' or '.join(_POLICIES)}")
    if agent.replay_buffer_class not in (
        ReplayBuffer,
        NStepReplayBuffer,
    ) or agent.replay_buffer_kwargs.keys() - {"n_steps", "gamma"}:
        raise InvalidInput(
            f"the replay buffer is {described(agent.replay_buffer_class)} with settings of its own; expected that of "
            "stable-baselines3: save the policy alone, with torch.save(agent.policy.state_dict(), path)"
        )
    frequency = agent.train_freq
    settings: dict[str, Any] = {name: getattr(agent, name) for name in _PLAIN}
    settings["stats_window_size"] = agent._stats_window_size
    settings["train_freq"] = [frequency.frequency, frequency.unit.value]  # type: ignore[union-attr]
    for name in set(_NAMED) - set(without):
        settings[name] = _written(name, getattr(agent, name))
    shown, taken = agent.observation_space, agent.action_space
    assert isinstance(shown, spaces.Box)
    assert isinstance(taken, spaces.Discrete)
    # Float64 holds the ends of all observations of up to 32 bits.
    ends = {
        name: torch.from_numpy(np.asarray(getattr(shown, name), dtype=np.float64)) for name in ("low", "high")
    }
    state = {
        "kind": _KIND,
        "policy": policy,
        "settings": settings,
        "observation_dtype": str(shown.dtype),
        "actions": [int(taken.n), int(taken.start)],
    }
    return checkpoints.join(
        settings=Checkpoint(tensors=ends, state=state),
        policy=Checkpoint(tensors=dict(agent.policy.state_dict())),
        optimizer=checkpoints.flatten_optimizer(agent.policy.optimizer),
        counters=Checkpoint(state={name: getattr(agent, name) for name in COUNTERS}),
    )


def settings_of(saved: Checkpoint, changes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give the name of the policy and the keywords of the algorithm.

    Args:
        saved: from `pack`.
        changes: keywords in place of those in the file.

    Raises:
        CheckpointError: another kind of checkpoint.
        InvalidInput: an unknown keyword, or one that is neither in the file nor given.
    """
    state = saved.part("settings").state
    if state.get("kind") != _KIND or state.get("policy") not in _POLICIES:
        raise CheckpointError(
            f"checkpoint is of kind {state.get('kind')!r}; expected an agent that SADQN saved"
        )
    for name in changes:
        if name not in SETTINGS:
            raise InvalidInput(f"load got {name!r}; expected settings of the agent: {', '.join(SETTINGS)}")
    settings = {name: _read(name, value) for name, value in state["settings"].items() if name in SETTINGS}
    settings |= dict(changes)
    missing = [name for name in _NAMED if name not in settings]
    if missing:
        raise InvalidInput(
            f"the file was saved without {missing[0]}; pass it: SADQN.load(path, {missing[0]}=...)"
        )
    frequency = settings["train_freq"]
    settings["train_freq"] = tuple(frequency) if isinstance(frequency, list) else frequency
    return state["policy"], settings


def spaces_of(saved: Checkpoint) -> tuple[spaces.Box, spaces.Discrete]:
    """Give the spaces of the environment that an agent was trained on."""
    part = saved.part("settings")
    dtype = np.dtype(part.state["observation_dtype"])
    low, high = (part.tensors[name].numpy().astype(dtype) for name in ("low", "high"))
    count, start = part.state["actions"]
    return spaces.Box(low, high, dtype=dtype.type), spaces.Discrete(int(count), start=int(start))


def fill(agent: SADQN, saved: Checkpoint) -> None:
    """Put the weights and the optimiser's state of `pack` into an agent.

    Raises:
        CheckpointError: they are of another network.
    """
    try:
        agent.policy.load_state_dict(saved.part("policy").tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the file is of an agent with another network ({reason})") from None
    optimizer = saved.part("optimizer")
    own = {name: tensor.clone() for name, tensor in optimizer.tensors.items()}
    checkpoints.restore_optimizer(agent.policy.optimizer, Checkpoint(tensors=own, state=optimizer.state))


def found(path: object, *, suffixes: tuple[str, ...] = ("", SUFFIX, ".zip")) -> Path:
    """Give the file that a path without its suffix may mean.

    Raises:
        CheckpointError: there is none.
    """
    given = files.checked_path(path)
    for suffix in suffixes:
        candidate = given.with_name(given.name + suffix)
        if candidate.is_file():
            return candidate
    raise CheckpointError(f"no agent at '{given}'; expected a file that SADQN.save wrote")


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
        if name == "policy_kwargs":
            return _plain(value)
        if name == "learning_rate" and isinstance(value, int | float):
            return float(value)
        text = serialization.to_json(value)
        serialization.from_json(text, Robustness if name == "robustness" else object)
    except InvalidInput as error:
        raise InvalidInput(
            f"{name} cannot be saved without a pickle ({error}); expected numbers, or dataclasses of the suite: leave it out "
            f"by save(path, exclude=['{name}']) and pass it to load"
        ) from None
    return {"json": text}


def _read(name: str, value: Any) -> Any:
    if name == "policy_kwargs":
        return _rich(value)
    if isinstance(value, dict) and "json" in value:
        return serialization.from_json(str(value["json"]), Robustness if name == "robustness" else object)
    return value


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
