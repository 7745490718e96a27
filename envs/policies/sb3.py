"""Agents of stable-baselines3 as the suite's own: weights are copied, and the statistics of a VecNormalize with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from robustsuite.arguments import check_kind, described
from robustsuite.errors import InvalidInput

from ..preprocessing import Normalizer, Pixels
from .agent import Agent
from .continuous import Deterministic, Gaussian
from .critics import ActionCritic, StateCritic
from .networks import ACTIVATIONS, MLP, Dueling, NatureCNN, Network
from .q_function import QFunction

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecNormalize


def convert(
    model: BaseAlgorithm,
    env: str,
    *,
    deviations: tuple[float, ...] | None = None,
    eps: float | None = None,
) -> Agent:
    """Copy the policy (and critic) of a DQN, DDPG, TD3 or PPO, or of the suite's own algorithms on them.

    Args:
        model: with a multilayer perceptron (DQN: or the network of Mnih et al. 2015 on images). Statistics of a VecNormalize
            around its environment become the agent's preprocessing.
        env: gymnasium id.
        deviations, eps: of the agent. See `Agent`.

    Raises:
        InvalidInput: another algorithm or architecture.
    """
    from stable_baselines3 import DQN, PPO, TD3  # DDPG is a TD3

    check_kind(model, (DQN, TD3, PPO), "model", "a DQN, DDPG, TD3 or PPO, such as an SADQN")
    normalizer = normalizer_of(model)
    policy: QFunction | Deterministic | Gaussian
    if isinstance(model, DQN):
        policy = _q_function(model)
    elif isinstance(model, TD3):
        policy = _deterministic(model)
    else:
        policy = _policy_gradient(model)
    image = isinstance(policy.network, Network) and isinstance(policy.network.architecture, NatureCNN)
    return Agent(
        env=env,
        policy=policy,
        preprocessing=Pixels() if image else normalizer,
        deviations=deviations,
        eps=eps,
    )


def normalizer_of(model: BaseAlgorithm) -> Normalizer | None:
    """Give the frozen statistics of the VecNormalize around a model's environment; None: it has none for observations.

    Raises:
        InvalidInput: statistics of a dict of observations.
    """
    wrapper: VecNormalize | None = model.get_vec_normalize_env()
    pending: Normalizer | None = getattr(model, "normalizer", None)
    if wrapper is None and pending is not None:
        return pending
    if wrapper is None or not wrapper.norm_obs:
        return None
    if not hasattr(wrapper.obs_rms, "mean"):
        raise InvalidInput("the VecNormalize has statistics of a dict; expected those of vectors")
    rms: Any = wrapper.obs_rms
    scale = np.sqrt(rms.var + wrapper.epsilon)
    return Normalizer(
        mean=tuple(rms.mean.tolist()), scale=tuple(scale.tolist()), limit=float(wrapper.clip_obs)
    )


def _q_function(model: Any) -> QFunction:
    actions = int(model.action_space.n)
    network = nn.Sequential(model.q_net.features_extractor, model.q_net.q_net)
    return QFunction(copied(network), actions)


def _deterministic(model: Any) -> Deterministic:
    actor = copied(model.policy.actor.mu, range_=action_range(model.action_space))
    critic = model.policy.critic.q_networks[0]
    # The critic of stable-baselines3 takes squashed actions in [-1, 1]; the agent's takes those of the environment.
    return Deterministic(actor, critic=ActionCritic(copied(critic, inputs=model.action_space)))


def _policy_gradient(model: Any) -> Gaussian | QFunction:
    extractor = model.policy.mlp_extractor
    mean = copied(nn.Sequential(*extractor.policy_net, model.policy.action_net))
    if isinstance(model.action_space, spaces.Discrete):  # the likeliest action has the largest logit
        return QFunction(mean, int(model.action_space.n))
    value = copied(nn.Sequential(*extractor.value_net, model.policy.value_net))
    limits = torch.as_tensor(np.stack([model.action_space.low, model.action_space.high]))
    return Gaussian(
        mean, model.policy.log_std.detach().clone(), critic=StateCritic(value), limits=limits.float()
    )


def action_range(space: spaces.Space[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give the ends of a Box of actions, to which a squashed output is stretched."""
    box = cast(spaces.Box, space)
    return tuple(box.low.tolist()), tuple(box.high.tolist())


def copied(
    module: nn.Module,
    *,
    range_: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    inputs: spaces.Space[Any] | None = None,
) -> Network:
    """Copy Linear layers with one kind of activation between them into a network of the suite.

    Args:
        module: of stable-baselines3, or built by the suite.
        range_: to which its squashed outputs are stretched.
        inputs: a Box of actions, which stand last among the inputs and are shrunk to [-1, 1] first.

    Raises:
        InvalidInput: another architecture.
    """
    layers = [layer for layer in module.modules() if not list(layer.children())]
    if isinstance(module, Network) and range_ is None and inputs is None:
        network = module.architecture.build()
        network.load_state_dict(module.state_dict())
        return network
    layers = [layer for layer in layers if not isinstance(layer, nn.Flatten | nn.Identity)]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    dueling = any(isinstance(layer, Dueling) for layer in module.modules())
    if dueling:
        network = _dueling(linear, convolutions, layers)
    elif convolutions and len(linear) == 2:
        first = convolutions[0]
        network = NatureCNN(actions=linear[1].out_features, channels=first.in_channels).build()
    else:
        squashed = isinstance(layers[-1], nn.Tanh) and range_ is not None
        between = {type(layer) for layer in (layers[:-1] if squashed else layers)} - {nn.Linear}
        names = [name for name, kind in ACTIVATIONS.items() if between <= {kind}]
        if not linear or not names:
            found = sorted(kind.__name__ for kind in between)
            raise InvalidInput(
                f"the network is {described(module)} with layers {found}; expected Linear with ReLU or with Tanh between them"
            )
        sizes = (linear[0].in_features, *(layer.out_features for layer in linear))
        network = MLP(
            sizes=sizes, activation=names[0], squashed=squashed, range=range_ if squashed else None
        ).build()
    own, given = list(network.parameters()), list(module.parameters())
    if [value.shape for value in own] != [value.shape for value in given]:
        raise InvalidInput(
            "the network has other layers than the suite's networks; expected a multilayer perceptron"
        )
    with torch.no_grad():
        for target, source in zip(own, given, strict=True):
            target.copy_(source)
        if inputs is not None:
            _take_actions(network, inputs)
    return network.to(given[0].device)


def _dueling(linear: list[nn.Linear], convolutions: list[nn.Conv2d], layers: list[nn.Module]) -> Network:
    """Build a network for the layers of one whose last four are those of a `Dueling`.

    Raises:
        InvalidInput: a hidden layer after convolutions, or another activation than one of the suite's.
    """
    *hidden, own, _, _, last = linear
    if convolutions and not hidden:
        return NatureCNN(
            actions=last.out_features, channels=convolutions[0].in_channels, dueling=True
        ).build()
    between = {type(layer) for layer in layers} - {nn.Linear}
    names = [name for name, kind in ACTIVATIONS.items() if between <= {kind}]
    if convolutions or not names:
        raise InvalidInput(
            "the dueling network is of other layers than the suite's; expected Linear with ReLU or with Tanh between them"
        )
    widths = (layer.out_features for layer in (*hidden, own))
    sizes = ((*hidden, own)[0].in_features, *widths, last.out_features)
    return MLP(sizes=sizes, activation=names[0], dueling=True).build()


def _take_actions(network: Network, space: spaces.Space[Any]) -> None:
    """Fold ``a -> 2 (a - low) / (high - low) - 1`` into the first layer."""
    low, high = (torch.tensor(end) for end in action_range(space))
    first = next(layer for layer in network if isinstance(layer, nn.Linear))
    weight = first.weight[:, -len(low) :].clone()
    first.weight[:, -len(low) :] = weight * 2 / (high - low)
    first.bias.sub_(weight @ (2 * low / (high - low) + 1))
