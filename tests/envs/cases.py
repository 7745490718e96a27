"""What is under test in this folder: algorithms, adversaries, and a controller whose weights are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from robustsuite.envs import scale
from robustsuite.envs.algorithms.sa_dqn import SADQN
from robustsuite.envs.attacks import Adversary, MinQ, PGDOnQ, RandomNoise, TowardAction
from robustsuite.envs.policies import MLP, Agent, Deterministic, Gaussian, Policy, QFunction
from robustsuite.envs.regularizers import ConvexRegularizer, PGDRegularizer
from robustsuite.envs.streams import Streams
from robustsuite.envs.training.robustness import Robustness
from robustsuite.perturbations import Perturbation
from robustsuite.training import Constant, Linear

STD = scale.published("CartPole-v1")


@dataclass(frozen=True)
class Algorithm:
    """An algorithm with the settings of a tiny real run."""

    name: str
    make: type[SADQN]
    robustness: Robustness

    def build(self, env: Any = "CartPole-v1", *, robustness: Robustness | None = None, **dqn: Any) -> SADQN:
        settings: dict[str, Any] = {
            "learning_starts": 32,
            "train_freq": 8,
            "gradient_steps": 2,
            "batch_size": 16,
            "buffer_size": 1000,
            "policy_kwargs": {"net_arch": [16]},
            "seed": 0,
            "device": "cpu",
        }
        return self.make("MlpPolicy", env, robustness=robustness or self.robustness, **(settings | dqn))


def _robustness(regularizer: ConvexRegularizer | PGDRegularizer) -> Robustness:
    return Robustness(
        perturbation=scale.ball(0.1, STD),
        kappa=0.5,
        regularizer=regularizer,
        ramp=Linear(begin=80, length=160),
    )


ALGORITHMS = [
    Algorithm("sa-dqn, ibp", SADQN, _robustness(ConvexRegularizer(beta=Constant(0.0)))),
    Algorithm("sa-dqn, crown-ibp", SADQN, _robustness(ConvexRegularizer(beta=Constant(1.0)))),
    Algorithm("sa-dqn, mixed", SADQN, _robustness(ConvexRegularizer())),
    Algorithm("sa-dqn, pgd", SADQN, _robustness(PGDRegularizer(steps=3))),
]

ADVERSARIES: list[Adversary] = [
    RandomNoise(),
    PGDOnQ(steps=5),
    MinQ(steps=5),
    TowardAction(action=1, steps=5),
]


def q_agent(sizes: tuple[int, ...], env: str = "CartPole-v1", *, activation: str = "relu") -> Agent:
    """Give an agent with fresh weights, whose radii count in the deviations of its environment."""
    network = MLP(sizes=sizes, activation=activation).build()
    return Agent(env=env, policy=QFunction(network, sizes[-1]), deviations=scale.published(env))


def deterministic(states: int = 4, actions: int = 2) -> Deterministic:
    """Give a deterministic policy with fresh weights."""
    return Deterministic(MLP(sizes=(states, 16, 16, actions), squashed=True).build())


def gaussian(states: int = 4, actions: int = 2) -> Gaussian:
    """Give a Gaussian policy with fresh weights."""
    network = MLP(sizes=(states, 16, 16, actions), activation="tanh").build()
    return Gaussian(network, torch.linspace(-1.0, 0.5, actions))


def shown(
    adversary: Adversary, policy: Policy, states: torch.Tensor, perturbation: Perturbation, *, seed: int = 0
) -> torch.Tensor:
    """Give what an adversary shows at the first step of episodes that are told apart by their place."""
    attacker = adversary.start(policy, perturbation, Streams(seed, episodes=range(len(states))))
    return attacker.show(states, torch.ones(len(states), dtype=torch.bool))


def controller() -> Agent:
    """Give an agent that balances CartPole: it pushes right where ``z = theta + 0.3 theta' + ... > 0``.

    Q(right) = relu(z), Q(left) = relu(-z): the margin is |z|, so its certificates are known in closed form.
    """
    agent = q_agent((4, 2, 2))
    weights = torch.tensor([0.05, 0.1, 1.0, 0.3])
    agent.policy.network.load_state_dict(
        {
            "0.weight": torch.stack([-weights, weights]),
            "0.bias": torch.zeros(2),
            "2.weight": torch.eye(2),
            "2.bias": torch.zeros(2),
        }
    )
    return agent
