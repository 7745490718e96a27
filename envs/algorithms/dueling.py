"""Dueling Q networks as policies of stable-baselines3's DQN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.dqn.policies import CnnPolicy, MlpPolicy, MultiInputPolicy, QNetwork
from torch import Tensor, nn

from robustsuite.errors import InvalidInput

from ..policies.networks import Dueling


class DuelingQNetwork(QNetwork):
    """A Q network whose last hidden layer splits into a value and advantages. See `policies.networks.Dueling`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.net_arch:
            raise InvalidInput("net_arch is empty; expected a width for the hidden layer of each head")
        *widths, last = self.net_arch
        hidden = create_mlp(self.features_dim, -1, widths, self.activation_fn)
        inner = widths[-1] if widths else self.features_dim
        heads = Dueling(inner, last, int(self.action_space.n), activation=self.activation_fn)
        self.q_net = nn.Sequential(*hidden, heads)


class DuelingMlpPolicy(MlpPolicy):
    """A dueling policy on vectors."""

    def make_q_net(self) -> QNetwork:
        """Make one of the two networks."""
        return _made(self)


class DuelingMultiInputPolicy(MultiInputPolicy):
    """A dueling policy on a Dict of observations."""

    def make_q_net(self) -> QNetwork:
        """Make one of the two networks."""
        return _made(self)


class DuelingCnnPolicy(CnnPolicy):
    """A dueling policy on images: three convolutions, then both heads with a hidden layer of 512. Source: Wang et al. 2016."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("features_extractor_class", Convolutions)
        options.setdefault("net_arch", [512])
        super().__init__(*args, **options)

    def make_q_net(self) -> QNetwork:
        """Make one of the two networks."""
        return _made(self)


def _made(policy: Any) -> QNetwork:
    options = policy._update_features_extractor(policy.net_args, features_extractor=None)
    return DuelingQNetwork(**options).to(policy.device)


class Convolutions(BaseFeaturesExtractor):
    """The three convolutions of Mnih et al. 2015, without the hidden layer that stable-baselines3 adds.

    Args:
        observation_space: images, channels first.
        normalized_image: of the parent's extractors; without effect here.
    """

    def __init__(self, observation_space: spaces.Box, normalized_image: bool = False) -> None:
        channels = int(observation_space.shape[0])
        layers = [
            *(nn.Conv2d(channels, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()),
        ]
        with torch.no_grad():
            width = nn.Sequential(*layers)(torch.zeros(1, *observation_space.shape)).shape[1]
        super().__init__(observation_space, int(width))
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: Tensor) -> Tensor:
        features: Tensor = self.layers(observations)
        return features


DUELING: Mapping[str, type[BasePolicy]] = {
    "MlpPolicy": DuelingMlpPolicy,
    "CnnPolicy": DuelingCnnPolicy,
    "MultiInputPolicy": DuelingMultiInputPolicy,
}
"""The dueling policy for each name of a policy."""
