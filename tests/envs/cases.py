"""What is under test in this folder: algorithms, adversaries, and a controller whose weights are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from robustsuite.envs import scale
from robustsuite.envs.algorithms.car_dqn import CARDQN
from robustsuite.envs.algorithms.radial_dqn import RADIALDQN
from robustsuite.envs.algorithms.sa_dqn import SADQN
from robustsuite.envs.algorithms.value_based import ValueBased
from robustsuite.envs.attacks import (
    Adversary,
    CriticAttack,
    MaximalActionDifference,
    MinQ,
    PGDOnQ,
    RandomNoise,
    TowardAction,
)
from robustsuite.envs.policies import (
    MLP,
    ActionCritic,
    Agent,
    Deterministic,
    Gaussian,
    Policy,
    QFunction,
    StateCritic,
)
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
    make: type[ValueBased]
    robustness: Robustness

    def build(
        self, env: Any = "CartPole-v1", *, robustness: Robustness | None = None, **dqn: Any
    ) -> ValueBased:
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
    Algorithm("car-dqn", CARDQN, _robustness(ConvexRegularizer(beta=Constant(0.0)))),
    Algorithm("radial-dqn", RADIALDQN, _robustness(ConvexRegularizer(beta=Constant(0.0)))),
]


def q_agent(sizes: tuple[int, ...], env: str = "CartPole-v1", *, activation: str = "relu") -> Agent:
    """Give an agent with fresh weights, whose radii count in the deviations of its environment."""
    network = MLP(sizes=sizes, activation=activation).build()
    return Agent(env=env, policy=QFunction(network, sizes[-1]), deviations=scale.published(env))


def deterministic(states: int = 4, actions: int = 2) -> Deterministic:
    """Give a deterministic policy with fresh weights, and a critic of actions."""
    critic = ActionCritic(MLP(sizes=(states + actions, 16, 1)).build())
    return Deterministic(MLP(sizes=(states, 16, 16, actions), squashed=True).build(), critic=critic)


def gaussian(states: int = 4, actions: int = 2) -> Gaussian:
    """Give a Gaussian policy with fresh weights, and a critic of states."""
    network = MLP(sizes=(states, 16, 16, actions), activation="tanh").build()
    critic = StateCritic(MLP(sizes=(states, 16, 1), activation="tanh").build())
    return Gaussian(network, torch.linspace(-1.0, 0.5, actions), critic=critic)


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


def pendulum(kind: Callable[[int, int], Policy]) -> Agent:
    """Give an agent of Pendulum with fresh weights, the same ones each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Agent(env="Pendulum-v1", policy=kind(3, 1), deviations=(0.6, 0.6, 2.0))


Harm = Callable[[Policy, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Foe:
    """An adversary with an agent that it attacks.

    Args:
        adversary: under test.
        agent: makes the agent.
        harm: what the adversary raises, from the policy, true states and shown states; None: nothing.
    """

    adversary: Adversary
    agent: Callable[[], Agent]
    harm: Harm | None = None

    def __str__(self) -> str:
        return f"{self.adversary.name} on {self.agent().policy.kind}"


def _moved(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return policy.divergence(states).score(policy(seen))


def _flipped(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return (policy.act(states) != policy.act(seen)).float()


def _second(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return (policy.act(seen) == 1).float()


def _worth(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    if isinstance(policy.critic, ActionCritic):
        return -policy.critic(states, policy.act(seen))
    if policy.critic is not None:
        return -policy.critic(seen)
    return -policy(states).gather(1, policy.act(seen).unsqueeze(1)).squeeze(1)


def _pendulum_deterministic() -> Agent:
    return pendulum(deterministic)


def _pendulum_gaussian() -> Agent:
    return pendulum(gaussian)


FOES = [
    Foe(RandomNoise(), controller),
    Foe(RandomNoise(), _pendulum_gaussian),
    Foe(PGDOnQ(steps=5), controller, _flipped),
    Foe(MinQ(steps=5), controller, _worth),
    Foe(TowardAction(action=1, steps=5), controller, _second),
    Foe(MaximalActionDifference(steps=5), controller, _moved),
    Foe(MaximalActionDifference(steps=5), _pendulum_deterministic, _moved),
    Foe(MaximalActionDifference(steps=5), _pendulum_gaussian, _moved),
    Foe(CriticAttack(steps=5), controller, _worth),
    Foe(CriticAttack(steps=5), _pendulum_deterministic, _worth),
    Foe(CriticAttack(steps=5), _pendulum_gaussian, _worth),
]
