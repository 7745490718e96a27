"""Critics: what a state, or an action at a state, is believed to be worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite.arguments import check_kind
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints, serialization

from .networks import Network

_KIND = "critic of actions"


@dataclass(frozen=True, slots=True, eq=False)
class ActionCritic:
    """Values of actions: ``Q(s, a)``.

    Args:
        network: from states and actions side by side, (batch, state + action), to (batch, 1).
    """

    network: nn.Module

    def __call__(
        self, states: Float[Tensor, "batch state"], actions: Float[Tensor, "batch action"]
    ) -> Float[Tensor, " batch"]:
        """Give the value of each action at its state."""
        value: Tensor = self.network(torch.cat([states, actions], 1))
        return value.squeeze(1)


@dataclass(frozen=True, slots=True, eq=False)
class StateCritic:
    """Values of states: ``V(s)``.

    Args:
        network: from states to (batch, 1).
    """

    network: nn.Module

    def __call__(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, " batch"]:
        """Give the value of each state."""
        value: Tensor = self.network(states)
        return value.squeeze(1)


Critic = ActionCritic | StateCritic


def save(critic: ActionCritic, path: Path) -> None:
    """Write a critic of actions in one step. See `robustsuite.runs.checkpoints.save`.

    Raises:
        InvalidInput: its network is not of the suite.
    """
    check_kind(critic, ActionCritic, "critic", "an ActionCritic")
    check_kind(critic.network, Network, "network", "one that the suite built, such as MLP(...).build()")
    assert isinstance(critic.network, Network)
    architecture = serialization.to_json(critic.network.architecture)
    tensors = {name: tensor.detach() for name, tensor in critic.network.state_dict().items()}
    checkpoints.save(path, tensors=tensors, state={"kind": _KIND, "architecture": architecture})


def load(path: Path, *, device: torch.device | str = "cpu") -> ActionCritic:
    """Read a critic of actions that `save` wrote.

    Raises:
        CheckpointError: missing, damaged, or of another kind.
    """
    saved = checkpoints.load(path)
    if saved.state.get("kind") != _KIND:
        raise CheckpointError(
            f"checkpoint is of kind {saved.state.get('kind')!r}; expected a critic ('{_KIND}')"
        )
    try:
        architecture: Any = serialization.from_json(saved.state["architecture"], object)
        network = architecture.build()
        network.load_state_dict(saved.tensors)
    except (AttributeError, KeyError, RuntimeError, TypeError, InvalidInput) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"checkpoint of a critic does not fit its architecture: {reason}") from None
    return ActionCritic(network.to(device))
