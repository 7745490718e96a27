"""Agents on disk: the Q network's weights and architecture as safetensors with JSON, nothing pickled."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from robustsuite.arguments import check_kind, check_numbers
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint

from .q_function import QFunction

if TYPE_CHECKING:
    from stable_baselines3 import DQN

_KIND = "q mlp"
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A Q agent on vector observations: a multilayer perceptron.

    Args:
        env: gymnasium id of the environment that it was trained on.
        network: Linear layers with activations between them, (batch, coordinates) -> (batch, actions).
    """

    env: str
    network: nn.Sequential

    @property
    def sizes(self) -> tuple[int, ...]:
        """Give the widths: coordinates, hidden layers, actions."""
        linear = [layer for layer in self.network if isinstance(layer, nn.Linear)]
        return (linear[0].in_features, *(layer.out_features for layer in linear))

    def q_function(self) -> QFunction:
        """Give the network as attacks and certificates take it."""
        return QFunction(self.network, self.sizes[-1])

    def checkpoint(self) -> Checkpoint:
        """Give weights and architecture as a part of a checkpoint."""
        state = {
            "kind": _KIND,
            "env": self.env,
            "sizes": list(self.sizes),
            "activation": _activation_of(self.network),
        }
        tensors = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        return Checkpoint(tensors=tensors, state=state)


def build(env: str, sizes: tuple[int, ...], *, activation: str = "relu") -> Agent:
    """Make an agent with fresh weights.

    Args:
        env: gymnasium id.
        sizes: coordinates, hidden widths, actions.
        activation: "relu" or "tanh".

    Raises:
        InvalidInput: an unknown activation or fewer than two sizes.
    """
    check_numbers("sizes", sizes, integer=True, least=1)
    if activation not in _ACTIVATIONS or len(sizes) < 2:
        raise InvalidInput(
            f"activation is '{activation}' and sizes {sizes}; expected one of {sorted(_ACTIVATIONS)} and "
            "(coordinates, hidden ..., actions)"
        )
    layers: list[nn.Module] = []
    for inner, outer in itertools.pairwise(sizes):
        layers += [nn.Linear(inner, outer), _ACTIVATIONS[activation]()]
    return Agent(env=env, network=nn.Sequential(*layers[:-1]))


def from_dqn(model: DQN, env: str) -> Agent:
    """Copy the Q network of a stable-baselines3 DQN (or `SADQN`) with a multilayer perceptron.

    Raises:
        InvalidInput: another architecture, such as a convolutional one.
    """
    from stable_baselines3 import DQN

    check_kind(model, DQN, "model", "a DQN of stable-baselines3, such as an SADQN")
    head = model.q_net.q_net
    if not isinstance(head, nn.Sequential) or list(model.q_net.features_extractor.parameters()):
        raise InvalidInput("the policy is not a plain MLP; expected policy 'MlpPolicy' on vectors")
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    sizes = (linear[0].in_features, *(layer.out_features for layer in linear))
    agent = build(env, sizes, activation=_activation_of(head))
    agent.network.load_state_dict(head.state_dict())
    return agent


def from_checkpoint(saved: Checkpoint, *, device: torch.device | str = "cpu") -> Agent:
    """Rebuild an agent.

    Raises:
        CheckpointError: the checkpoint is not one of an agent.
    """
    state = saved.state
    if state.get("kind") != _KIND:
        raise CheckpointError(f"checkpoint is of kind {state.get('kind')!r}; expected an agent ('{_KIND}')")
    try:
        agent = build(state["env"], tuple(state["sizes"]), activation=state["activation"])
        agent.network.load_state_dict(saved.tensors)
    except (KeyError, RuntimeError, InvalidInput) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint of an agent does not fit its architecture: {reason}") from None
    agent.network.to(device)
    return agent


def save(agent: Agent, path: Path) -> None:
    """Write an agent in one step. See `robustsuite.runs.checkpoints.save`."""
    saved = agent.checkpoint()
    checkpoints.save(path, tensors=saved.tensors, state=saved.state)


def load(path: Path, *, device: torch.device | str = "cpu") -> Agent:
    """Read an agent that `save` wrote.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    return from_checkpoint(checkpoints.load(path), device=device)


def _activation_of(network: nn.Sequential) -> str:
    kinds = {type(layer) for layer in network if not isinstance(layer, nn.Linear)}
    for name, kind in _ACTIVATIONS.items():
        if kinds <= {kind}:
            return name
    found = sorted(kind.__name__ for kind in kinds)
    raise InvalidInput(f"the network has layers {found}; expected Linear with ReLU or with Tanh between them")
