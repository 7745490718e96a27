"""Agents: a policy with all that it needs to act in an environment and to be attacked there; on disk as safetensors with
JSON, nothing pickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite.arguments import check_kind, check_number, described
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.perturbations import Linf, Perturbation
from robustsuite.runs import checkpoints, serialization
from robustsuite.runs.checkpoints import Checkpoint

from ..preprocessing import Keys, Normalizer, Padded, Pixels
from ..preprocessing.states import plain
from ..threat import scale
from .continuous import Deterministic, Gaussian
from .critics import ActionCritic, StateCritic
from .networks import Network
from .policy import Policy
from .q_function import QFunction

_KIND = "agent"
_Steps = Normalizer | Padded | Pixels | Keys


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agent:
    """A policy, what stands between the environment and its network, and the units in which its radii count.

    Args:
        env: gymnasium id of the environment that it was trained on.
        policy: what the network eats -> what it decides.
        preprocessing: from observations to states; None: vectors as they are.
        deviations: of each coordinate of the state, in which the radii of `ball` count; None: they count in units of the
            state itself (of the normalised observation, of an image's range).
        eps: radius that the agent was trained for, or is published with, in the units of `ball`; None: none.

    Source: Zhang et al. 2020, appendix: eps counts deviations (DQN, DDPG), normalised units (PPO) or an image's range.
    """

    env: str
    policy: Policy
    preprocessing: _Steps | None = None
    deviations: tuple[float, ...] | None = None
    eps: float | None = None

    def __post_init__(self) -> None:
        check_kind(self.env, str, "env", "a gymnasium id")
        check_kind(self.policy, Policy, "policy", "a policy such as QFunction(network, 2)")
        check_number("eps", self.eps, least=0, optional=True)

    def states(self, observations: Any) -> Float[Tensor, "batch *state"]:
        """Give what the network eats for observations as the environment shows them, a batch of arrays."""
        step = plain if self.preprocessing is None else self.preprocessing
        return step(observations, device=self.policy.device)

    def ball(self, eps: float) -> Perturbation:
        """Give the threat model of a radius: each coordinate of the state may move by eps units.

        Args:
            eps: radius, >= 0, in deviations where the agent has them, else in units of the state; images stay in [0, 1].
        """
        check_number("eps", eps, least=0)
        if self.deviations is not None:
            return scale.ball(eps, self.deviations)
        return Linf(eps, clip=(0.0, 1.0)) if isinstance(self.preprocessing, Pixels) else Linf(eps)

    def checkpoint(self) -> Checkpoint:
        """Give weights, architectures and settings as a part of a checkpoint.

        Raises:
            InvalidInput: a network that the suite did not build.
        """
        policy = self.policy
        modules = {"network": policy.network}
        if policy.critic is not None:
            modules["critic"] = policy.critic.network
        state: dict[str, Any] = {
            "kind": _KIND,
            "policy": policy.kind,
            "env": self.env,
            "eps": self.eps,
            "deviations": None if self.deviations is None else list(self.deviations),
            "preprocessing": None
            if self.preprocessing is None
            else serialization.to_json(self.preprocessing),
            "critic": None if policy.critic is None else type(policy.critic).__name__,
            "architectures": {name: _architecture(module) for name, module in modules.items()},
        }
        tensors = {
            f"{name}.{key}": tensor.detach().clone()
            for name, module in modules.items()
            for key, tensor in module.state_dict().items()
        }
        if isinstance(policy, QFunction):
            state["actions"] = policy.actions
        if isinstance(policy, Deterministic):
            state["spread"] = None if policy.spread is None else list(policy.spread)
        if isinstance(policy, Gaussian):
            tensors["log_std"] = policy.log_std.detach().clone()
            if policy.limits is not None:
                tensors["limits"] = policy.limits.detach().clone()
        return Checkpoint(tensors=tensors, state=state)


def from_checkpoint(saved: Checkpoint, *, device: torch.device | str = "cpu") -> Agent:
    """Rebuild an agent.

    Raises:
        CheckpointError: the checkpoint is not one of an agent.
    """
    state = saved.state
    if state.get("kind") != _KIND:
        raise CheckpointError(f"checkpoint is of kind {state.get('kind')!r}; expected an agent ('{_KIND}')")
    try:
        network = _network("network", saved, device)
        critic: ActionCritic | StateCritic | None = None
        if state["critic"] is not None:
            kinds: dict[str, type[ActionCritic | StateCritic]] = {
                "ActionCritic": ActionCritic,
                "StateCritic": StateCritic,
            }
            critic = kinds[state["critic"]](_network("critic", saved, device))
        policy: Policy
        if state["policy"] == QFunction.kind:
            policy = QFunction(network, state["actions"])
        elif state["policy"] == Deterministic.kind:
            policy = Deterministic(network, critic=critic, spread=state["spread"])
        elif state["policy"] == Gaussian.kind:
            limits = saved.tensors.get("limits")
            policy = Gaussian(
                network,
                saved.tensors["log_std"].to(device),
                critic=critic,
                limits=None if limits is None else limits.to(device),
            )
        else:
            raise CheckpointError(
                f"the agent's policy is {state['policy']!r}; it was written by another version"
            )
        steps: Any = None
        if state["preprocessing"] is not None:
            steps = serialization.from_json(state["preprocessing"], object)
            check_kind(steps, (Normalizer, Padded, Pixels, Keys), "preprocessing", "one of the suite's")
        deviations = state["deviations"]
        return Agent(
            env=state["env"],
            policy=policy,
            preprocessing=steps,
            deviations=None if deviations is None else tuple(deviations),
            eps=state["eps"],
        )
    except (KeyError, RuntimeError, TypeError, InvalidInput) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"checkpoint of an agent does not fit its architecture: {reason}") from None


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


def _architecture(module: nn.Module) -> str:
    if not isinstance(module, Network):
        raise InvalidInput(
            f"the agent's network is {described(module)}; expected one that the suite built, such as MLP(...).build(): "
            "convert agents of stable-baselines3 by policies.from_sb3"
        )
    return serialization.to_json(module.architecture)


def _network(name: str, saved: Checkpoint, device: torch.device | str) -> Network:
    architecture = serialization.from_json(saved.state["architectures"][name], object)
    if not callable(getattr(architecture, "build", None)):
        raise CheckpointError(f"the agent's {name} is {described(architecture)}; expected an architecture")
    network: Network = architecture.build()
    weights = {
        key.removeprefix(f"{name}."): tensor
        for key, tensor in saved.tensors.items()
        if key.startswith(f"{name}.")
    }
    network.load_state_dict(weights)
    return network.to(device)
