"""What is under test in this folder: algorithms, adversaries, and a controller whose weights are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3 import DDPG, DQN, PPO, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from robustsuite.envs import CARDQN, RADIALDQN, RADIALPPO, SADDPG, SADQN, SAPPO, SATD3, scale
from robustsuite.envs.algorithms.robust import Robust
from robustsuite.envs.attacks import (
    Adversary,
    Coupled,
    CriticAttack,
    Director,
    LearnedAdversary,
    MaximalActionDifference,
    MinQ,
    PGDOnQ,
    RandomNoise,
    RobustSarsa,
    RobustSarsaAndMAD,
    SwitchingRule,
    Timed,
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
from robustsuite.envs.regularizers import ConvexRegularizer, PGDRegularizer, SGLDRegularizer
from robustsuite.envs.streams import Streams
from robustsuite.envs.training.robustness import Robustness
from robustsuite.perturbations import Linf, Perturbation
from robustsuite.training import Constant, Linear

Regularizers = ConvexRegularizer | PGDRegularizer | SGLDRegularizer
STD = scale.published("CartPole-v1")


@dataclass(frozen=True)
class Algorithm:
    """An algorithm with the settings of a tiny real run.

    Args:
        name: of the case.
        make: the algorithm.
        parent: what it is without robustness.
        robustness: what is added; the ramp lies within 400 time steps.
        env: gymnasium id.
        settings: of both.
        strong: a kappa under which little else is learned than to stand still.
    """

    name: str
    make: type[Any]
    parent: type[BaseAlgorithm]
    robustness: Robustness
    env: str
    settings: Mapping[str, Any]
    strong: float = 100.0

    def build(self, env: Any = None, *, robustness: Robustness | None = None, **changes: Any) -> Any:
        settings: dict[str, Any] = {**deepcopy(dict(self.settings)), **changes}
        return self.make(
            "MlpPolicy",
            self.env if env is None else env,
            robustness=robustness or self.robustness,
            **settings,
        )

    def plain(self, **changes: Any) -> BaseAlgorithm:
        """Give the parent with the same settings."""
        parent: Any = self.parent
        settings: dict[str, Any] = {**deepcopy(dict(self.settings)), **changes}
        made: BaseAlgorithm = parent("MlpPolicy", self.env, **settings)
        return made


_RAMP = Linear(begin=80, length=160)
_SMALL: dict[str, Any] = {"policy_kwargs": {"net_arch": [16]}, "seed": 0, "device": "cpu"}
_REPLAY: dict[str, Any] = {
    "learning_starts": 32,
    "train_freq": 8,
    "gradient_steps": 2,
    "batch_size": 16,
    "buffer_size": 1000,
    **_SMALL,
}
_ROLLOUT: dict[str, Any] = {"n_steps": 40, "batch_size": 20, "n_epochs": 2, **_SMALL}
IBP, CROWN_IBP = ConvexRegularizer(beta=Constant(0.0)), ConvexRegularizer(beta=Constant(1.0))
MIXED, PGD, SGLD = ConvexRegularizer(), PGDRegularizer(steps=3), SGLDRegularizer(steps=3)
_KINDS: dict[str, Regularizers] = {
    "ibp": IBP,
    "crown-ibp": CROWN_IBP,
    "mixed": MIXED,
    "pgd": PGD,
    "sgld": SGLD,
}


def _on_cartpole(name: str, make: type[Robust], kind: str) -> Algorithm:
    robustness = Robustness(
        perturbation=scale.ball(0.1, STD), kappa=0.5, regularizer=_KINDS[kind], ramp=_RAMP
    )
    return Algorithm(f"{name}, {kind}", make, DQN, robustness, "CartPole-v1", _REPLAY)


def _on_pendulum(
    name: str,
    make: type[Robust],
    parent: type[BaseAlgorithm],
    kind: str,
    settings: Mapping[str, Any],
    **more: float,
) -> Algorithm:
    robustness = Robustness(perturbation=Linf(0.1), kappa=0.5, regularizer=_KINDS[kind], ramp=_RAMP)
    return Algorithm(f"{name}, {kind}", make, parent, robustness, "Pendulum-v1", settings, **more)


DISCRETE = [
    _on_cartpole("sa-dqn", SADQN, "ibp"),
    _on_cartpole("sa-dqn", SADQN, "crown-ibp"),
    _on_cartpole("sa-dqn", SADQN, "mixed"),
    _on_cartpole("sa-dqn", SADQN, "pgd"),
    _on_cartpole("car-dqn", CARDQN, "ibp"),
    _on_cartpole("radial-dqn", RADIALDQN, "ibp"),
]
CONTINUOUS = [
    _on_pendulum("sa-ppo", SAPPO, PPO, "mixed", _ROLLOUT),
    _on_pendulum("sa-ppo", SAPPO, PPO, "sgld", _ROLLOUT),
    _on_pendulum("radial-ppo", RADIALPPO, PPO, "ibp", _ROLLOUT, strong=1.0),
    _on_pendulum("sa-td3", SATD3, TD3, "mixed", _REPLAY),
    _on_pendulum("sa-ddpg", SADDPG, DDPG, "pgd", _REPLAY),
]
ALGORITHMS = [*DISCRETE, *CONTINUOUS]


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
        share = getattr(self.adversary, "share", "")
        return f"{self.adversary.name} {share}on {self.agent().policy.kind}"


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


def _critic() -> ActionCritic:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ActionCritic(MLP(sizes=(4, 16, 1)).build())


_CRITIC = _critic()


def _own_worth(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return -_CRITIC(states, policy.act(seen))


_ROW = (0.3, 1.0, -0.5, 0.2)
_RULE = SwitchingRule(weights=(_ROW,), steps=5)
_PUSH = SwitchingRule(weights=(_ROW[:3],), steps=5)


def _obeyed(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return (policy.act(seen) == (_RULE.wanted(states)[:, 0] > 0)).float()


def _pushed(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return (policy.act(seen) * _PUSH.wanted(states).sign()).sum(1)


def _places(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The first coordinate of the fixed learner's places is always 1, the upper end."""
    return seen[:, 0] - states[:, 0]


def _learner(states: int, outputs: int) -> Agent:
    """Give an agent that decides 1 everywhere."""
    network = MLP(sizes=(states, outputs)).build()
    network.load_state_dict({"0.weight": torch.zeros(outputs, states), "0.bias": torch.ones(outputs)})
    return Agent(env="Pendulum-v1", policy=Deterministic(network))


def _forcing() -> Agent:
    """Give an agent that takes action 1 everywhere."""
    network = MLP(sizes=(4, 2)).build()
    network.load_state_dict({"0.weight": torch.zeros(2, 4), "0.bias": torch.tensor([0.0, 1.0])})
    return Agent(env="CartPole-v1", policy=QFunction(network, 2))


def _upward(policy: Policy, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    return (policy.act(seen) - policy.act(states))[:, 0]


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
    Foe(LearnedAdversary(adversary=_learner(3, 3), timesteps=0), _pendulum_gaussian, _places),
    Foe(Director(director=_learner(3, 1), timesteps=0, steps=5), _pendulum_deterministic, _upward),
    Foe(Director(director=_learner(3, 1), timesteps=0, steps=5), _pendulum_gaussian, _upward),
    Foe(Director(director=_forcing(), timesteps=0, steps=5), controller, _second),
    Foe(Timed(adversary=PGDOnQ(steps=5), threshold=0.01), controller, _flipped),
    Foe(Coupled(adversary=MaximalActionDifference(steps=5), step=1.0), _pendulum_gaussian, _moved),
    Foe(_RULE, controller, _obeyed),
    Foe(_PUSH, _pendulum_deterministic, _pushed),
    Foe(RobustSarsa(critic=_CRITIC, steps=5), _pendulum_deterministic, _own_worth),
    Foe(RobustSarsa(critic=_CRITIC, steps=5), _pendulum_gaussian, _own_worth),
    Foe(RobustSarsaAndMAD(critic=_CRITIC, share=0.0, steps=5), _pendulum_gaussian, _own_worth),
    Foe(RobustSarsaAndMAD(critic=_CRITIC, share=1.0, steps=5), _pendulum_gaussian, _moved),
]
