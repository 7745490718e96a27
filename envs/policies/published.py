"""Agents that others published: safetensors beside a JSON description, as converted from SA-DDPG's and SA-PPO's files.

Source: Zhang et al. 2020, and the authors' repositories; each description says which commit its weights are from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robustsuite.arguments import described
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import files

from ..preprocessing import Normalizer, Padded
from .agent import Agent
from .continuous import Deterministic, Gaussian
from .critics import ActionCritic, StateCritic
from .networks import MLP, Network
from .policy import Policy

_HIDDEN = ("relu", "tanh")
_PLAIN = ("none", "identity", "linear", "hardtanh", "clip")
"""Of outputs that are used as they are; those that are cut off are cut off by their user."""

_STATE = ("obs", "state")
_NORMALIZER = re.compile(
    r"clip\(\(\w+ - mean\) / \(std \+ (?P<least>[\d.e-]+)\), -(?P<limit>[\d.]+), (?P=limit)\)"
)

LEFT_OUT: dict[tuple[str, int], tuple[int, ...]] = {
    ("Ant-v5", 111): tuple(range(27, 33)),  # contact forces of the world's body
    ("Reacher-v5", 11): (10,),  # height of the finger above the target, 0
    ("Humanoid-v5", 376): (*range(45, 55), *range(185, 191), *range(269, 275), *range(292, 298)),
}
"""Coordinates of version 2's states that version 5 leaves out, by environment and size of the state.

Source: gymnasium's documentation of version 5: inertia, velocity, actuator and contact forces of the world's body.
"""


def is_published(path: Path) -> bool:
    """Say whether a path without suffix, or that of either file, names a published agent: both files stand there."""
    stem = _stem(path)
    return stem.with_name(stem.name + ".json").is_file() and _weights(stem).is_file()


def load(path: Path, *, env: str | None = None, device: torch.device | str = "cpu") -> Agent:
    """Read a published agent.

    Args:
        path: of its two files, without their suffix (or with either).
        env: gymnasium id; None: the one in the description, in its version 5 of MuJoCo.
        device: of its networks.

    Raises:
        CheckpointError: a file is missing or damaged, or the weights do not fit the description.
        InvalidInput: the description says something that is not understood.
    """
    with _reading(path, device) as (about, tensors):
        return _agent(about, tensors, env=env)


def load_critic(path: Path, *, device: torch.device | str = "cpu") -> ActionCritic:
    """Read a critic of actions that others trained, such as one of robust Sarsa.

    Args:
        path: of its two files, as for `load`.
        device: of its network.

    Raises:
        CheckpointError, InvalidInput: as for `load`.
    """
    with _reading(path, device) as (about, tensors):
        return _action_critic(_part(about, ("critic", "sarsa", "robust_sarsa", "q", "value")), about, tensors)


def load_adversary(path: Path, *, env: str | None = None, device: torch.device | str = "cpu") -> Agent:
    """Read the policy of a learned adversary that others trained: from normalised states to places in [-1, 1]^n.

    Args:
        path: of its two files, as for `load`.
        env: as for `load`.
        device: of its network.

    Raises:
        CheckpointError, InvalidInput: as for `load`.
    """
    with _reading(path, device) as (about, tensors):
        part = _part(about, ("adversary", "actor", "policy"))
        return Agent(env=_env(about, env), policy=Deterministic(_mlp(part, about[part], tensors)))


@contextmanager
def _reading(path: Path, device: torch.device | str) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    """Give description and tensors; what they lack while they are used is named.

    Raises:
        CheckpointError: missing or damaged files, or something that the description lacks.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    stem = _stem(files.checked_path(path))
    if not is_published(stem):
        raise CheckpointError(f"no published agent at '{stem}'; expected the files .json and .safetensors")
    try:
        about: dict[str, Any] = json.loads(stem.with_name(stem.name + ".json").read_text(encoding="utf-8"))
        tensors = load_file(_weights(stem), device=str(device))
    except (OSError, ValueError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"the published agent '{stem}' cannot be read ({reason})") from None
    if not isinstance(about, dict):
        raise CheckpointError(f"the description of '{stem}' is {described(about)}; expected an object")
    try:
        yield about, tensors
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the published agent '{stem}' lacks {error}") from None


def current_version(env: str) -> str:
    """Give the gymnasium id of a MuJoCo environment whose version is no longer there: Hopper-v2 becomes Hopper-v5."""
    name, _, version = env.rpartition("-v")
    return f"{name}-v5" if version in ("1", "2", "3") else env


def _agent(about: dict[str, Any], tensors: dict[str, Tensor], *, env: str | None) -> Agent:
    part = _part(about, ("actor", "policy"))
    network = _mlp(part, about[part], tensors)
    name, size = _env(about, env), int(about[part]["layers"][0])
    normalizer = _normalizer(about.get("observation_normaliser"), tensors)
    preprocessing: Normalizer | Padded | None = normalizer
    places = LEFT_OUT.get((name, size))
    if places is not None:
        preprocessing = Padded(places=places, size=size, then=normalizer)
    threat = about["perturbation"]
    if threat["norm"] != "linf":
        raise InvalidInput(f"perturbation's norm is {threat['norm']!r}; expected 'linf'")
    deviations = _deviations(str(threat.get("scale", "")), tensors, normalised=normalizer is not None)
    log_std = next((tensors[key] for key in (f"{part}.log_std", "log_std") if key in tensors), None)
    policy: Policy
    if log_std is not None:
        critic = StateCritic(_mlp("critic", about["critic"], tensors)) if "critic" in about else None
        policy = Gaussian(network, log_std.flatten().float(), critic=critic)
    else:
        spread = tensors.get("attack.action_std")
        policy = Deterministic(
            network,
            critic=_action_critic("critic", about, tensors) if "critic" in about else None,
            spread=None if spread is None else spread.tolist(),
        )
    return Agent(
        env=name,
        policy=policy,
        preprocessing=preprocessing,
        deviations=deviations,
        eps=float(threat["eps"]),
    )


def _env(about: dict[str, Any], env: str | None) -> str:
    return current_version(str(about["env_id_source"])) if env is None else env


def _part(about: dict[str, Any], names: tuple[str, ...]) -> str:
    """Give the name of the network that is meant: the first of some names, else the only one there is.

    Raises:
        CheckpointError: there is none.
    """
    networks = [name for name, value in about.items() if isinstance(value, dict) and "layers" in value]
    for name in names:
        if name in networks:
            return name
    if len(networks) == 1:
        return networks[0]
    raise CheckpointError(
        f"the description has the networks {networks}; expected one that is called {', '.join(names)}"
    )


def _deviations(scale: str, tensors: dict[str, Tensor], *, normalised: bool) -> tuple[float, ...] | None:
    """Give the unit of the radius: deviations, or None for the states' own units.

    Raises:
        InvalidInput: the description does not say which.
    """
    own = tensors.get("attack.state_std")
    if own is not None and ("std" in scale or not normalised):
        return tuple(own.tolist())
    if normalised and "std" not in scale:
        return None
    raise InvalidInput(
        f"perturbation's scale is {scale!r}, and there is {'a' if normalised else 'no'} normaliser and no attack.state_std; "
        "expected the unit of its radius"
    )


def _mlp(part: str, about: dict[str, Any], tensors: dict[str, Tensor]) -> Network:
    """Build a network from "<part>.<layer>.weight" and "<part>.<layer>.bias".

    Raises:
        InvalidInput: another activation.
        CheckpointError: weights of other shapes.
    """
    hidden = str(about["hidden_activation"]).lower()
    output = str(about.get("output_activation") or "none").lower()
    if hidden not in _HIDDEN or output not in (*_PLAIN, "tanh"):
        raise InvalidInput(
            f"{part} has the activations {hidden!r} and {output!r}; expected {_HIDDEN} and 'none' or 'tanh'"
        )
    sizes = tuple(int(size) for size in about["layers"])
    network = MLP(sizes=sizes, activation=hidden, squashed=output == "tanh").build()
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    for place, layer in enumerate(linear):
        for name, parameter in layer.named_parameters():
            value = tensors[f"{part}.{place}.{name}"]
            if value.shape != parameter.shape:
                raise CheckpointError(
                    f"{part}.{place}.{name} has shape {tuple(value.shape)}; expected {tuple(parameter.shape)}"
                )
            parameter.data = value.float()
    if f"{part}.{len(linear)}.weight" in tensors:
        raise CheckpointError(f"{part} has more layers than its description, {sizes}")
    return network


def _action_critic(part: str, about: dict[str, Any], tensors: dict[str, Tensor]) -> ActionCritic:
    """Build a critic of actions; one that takes the action first gets its first layer in our order.

    Raises:
        InvalidInput: it does not say what it takes.
    """
    network = _mlp(part, about[part], tensors)
    takes = str(about[part].get("input", "concat(observation, action)")).lower()
    state, action = (
        min((takes.find(w) for w in words if w in takes), default=-1) for words in (_STATE, ("act",))
    )
    if state < 0 or action < 0:
        raise InvalidInput(f"{part} takes {takes!r}; expected 'concat(observation, action)'")
    if action < state:
        first, actions = (
            next(layer for layer in network if isinstance(layer, torch.nn.Linear)),
            int(about["action_dim"]),
        )
        first.weight.data = first.weight.data.roll(-actions, 1)
    return ActionCritic(network)


def _normalizer(about: dict[str, Any] | None, tensors: dict[str, Tensor]) -> Normalizer | None:
    if about is None:
        return None
    found = _NORMALIZER.fullmatch(about["formula"])
    if found is None:
        raise InvalidInput(
            f"the observations' normaliser is {about['formula']!r}; expected 'clip((obs - mean) / (std + 1e-8), -10, 10)'"
        )
    mean, std = (tensors[f"obs_norm.{name}"].cpu().double() for name in ("mean", "std"))
    scale = (std + float(found["least"])).tolist()
    return Normalizer(mean=tuple(mean.tolist()), scale=tuple(scale), limit=float(found["limit"]))


def _stem(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path


def _weights(stem: Path) -> Path:
    return stem.with_name(stem.name + ".safetensors")
