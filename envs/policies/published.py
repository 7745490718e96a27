"""Agents that others published: safetensors beside a JSON description, as converted from SA-DDPG's and SA-PPO's files.

Source: Zhang et al. 2020, and the authors' repositories; each description says which commit its weights are from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import files

from ..preprocessing import Normalizer
from .agent import Agent
from .continuous import Deterministic, Gaussian
from .critics import ActionCritic, StateCritic
from .networks import MLP, Network
from .policy import Policy

_ACTIVATIONS = ("relu", "tanh")
_NORMALIZER = "clip((obs - mean) / (std + 1e-8), -10, 10)"


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
    try:
        return _agent(about, tensors, env=env, device=device)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"the published agent '{stem}' lacks {error}") from None


def current_version(env: str) -> str:
    """Give the gymnasium id of a MuJoCo environment whose version is no longer there: Hopper-v2 becomes Hopper-v5."""
    name, _, version = env.rpartition("-v")
    return f"{name}-v5" if version in ("1", "2", "3") else env


def _agent(
    about: dict[str, Any], tensors: dict[str, Tensor], *, env: str | None, device: torch.device | str
) -> Agent:
    actor = about["actor"]
    network = _mlp("actor", actor, tensors)
    threat = about["perturbation"]
    if threat["norm"] != "linf":
        raise InvalidInput(f"perturbation's norm is {threat['norm']!r}; expected 'linf'")
    normalizer = _normalizer(about.get("observation_normaliser"), tensors)
    deviations = tensors.get("attack.state_std")
    if (deviations is None) == (normalizer is None):
        raise InvalidInput(
            "the agent has both or neither of attack.state_std and obs_norm; expected the unit of its radius"
        )
    policy: Policy
    if "actor.log_std" in tensors:
        critic = StateCritic(_mlp("critic", about["critic"], tensors))
        policy = Gaussian(network, tensors["actor.log_std"].flatten(), critic=critic)
    else:
        spread = tensors.get("attack.action_std")
        policy = Deterministic(
            network,
            critic=ActionCritic(_critic_of_actions(about, tensors)),
            spread=None if spread is None else spread.tolist(),
        )
    return Agent(
        env=current_version(about["env_id_source"]) if env is None else env,
        policy=policy,
        preprocessing=normalizer,
        deviations=None if deviations is None else tuple(deviations.tolist()),
        eps=float(threat["eps"]),
    )


def _mlp(part: str, about: dict[str, Any], tensors: dict[str, Tensor]) -> Network:
    """Build a network from "<part>.<layer>.weight" and "<part>.<layer>.bias".

    Raises:
        InvalidInput: another activation.
        CheckpointError: weights of other shapes.
    """
    hidden, output = about["hidden_activation"], about.get("output_activation", "none")
    if hidden not in _ACTIVATIONS or output not in ("none", "tanh"):
        raise InvalidInput(
            f"{part} has the activations {hidden!r} and {output!r}; expected {_ACTIVATIONS} and 'none' or 'tanh'"
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


def _critic_of_actions(about: dict[str, Any], tensors: dict[str, Tensor]) -> Network:
    return _mlp("critic", about["critic"], tensors)


def _normalizer(about: dict[str, Any] | None, tensors: dict[str, Tensor]) -> Normalizer | None:
    if about is None:
        return None
    if about["formula"] != _NORMALIZER:
        raise InvalidInput(f"the observations' normaliser is {about['formula']!r}; expected {_NORMALIZER!r}")
    mean, std = (tensors[f"obs_norm.{name}"].cpu().double() for name in ("mean", "std"))
    return Normalizer(mean=tuple(mean.tolist()), scale=tuple((std + 1e-8).tolist()), limit=10.0)


def _stem(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path


def _weights(stem: Path) -> Path:
    return stem.with_name(stem.name + ".safetensors")
