"""Measure what a gradient step and the whole loop of a robust algorithm cost, over stable-baselines3's own.

DQN and kin: CartPole-v1, 128x128 units, batch 128. PPO and kin: HalfCheetah's 17 coordinates and 6 actions, 64x64 units each,
minibatches of 64. TD3 and kin: the same, 256x256 units, batch 256. One thread; all agents of a family in one process, their
steps in turn, so that a noisy machine disturbs all alike. Medians of process time, and ratios to the parent, are printed.

Attacks: steps of 20 environments side by side, MAD and others with 10 gradient steps each.

    python scripts/bench_rl.py [--families dqn ppo td3 attacks]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from rich.console import Console
from rich.table import Table
from stable_baselines3 import DQN, PPO, TD3

from robustsuite.envs import (
    CARDQN,
    RADIALDQN,
    RADIALPPO,
    SADQN,
    SAPPO,
    SATD3,
    ConvexRegularizer,
    PGDRegularizer,
    Prioritized,
    Robustness,
    SGLDRegularizer,
    environments,
    scale,
)
from robustsuite.envs.attacks import CriticAttack, MaximalActionDifference, RandomNoise
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import MLP, ActionCritic, Agent, Deterministic
from robustsuite.perturbations import Linf
from robustsuite.training import Constant, Linear

_IBP, _CROWN = ConvexRegularizer(beta=Constant(0.0)), ConvexRegularizer(beta=Constant(1.0))
_BATCH = 128


def q_agents() -> dict[str, Any]:
    """Make all agents anew, with the same settings."""
    settings: dict[str, Any] = {
        "policy_kwargs": {"net_arch": [128, 128]},
        "batch_size": _BATCH,
        "learning_starts": 500,
        "train_freq": 4,
        "seed": 0,
        "device": "cpu",
    }

    def robust(kind: type[Any], regularizer: Any, kappa: float = 0.2, **options: Any) -> DQN:
        robustness = Robustness(
            perturbation=scale.ball(0.1, scale.published("CartPole-v1")),
            kappa=kappa,
            regularizer=regularizer,
            ramp=Linear(length=100),
        )
        made: DQN = kind("MlpPolicy", "CartPole-v1", robustness=robustness, **settings, **options)
        return made

    return {
        "DQN (stable-baselines3)": DQN("MlpPolicy", "CartPole-v1", **settings),
        "SA-DQN, kappa 0": robust(SADQN, _IBP, 0.0),
        "SA-DQN, IBP": robust(SADQN, _IBP),
        "SA-DQN, CROWN-IBP": robust(SADQN, _CROWN),
        "SA-DQN, half each": robust(SADQN, ConvexRegularizer(beta=Constant(0.5))),
        "SA-DQN, PGD-5": robust(SADQN, PGDRegularizer(steps=5)),
        "SA-DQN, IBP, prioritized": robust(SADQN, _IBP, prioritized=Prioritized()),
        "CAR-DQN, IBP": robust(CARDQN, _IBP, 1.0),
        "RADIAL-DQN, IBP": robust(RADIALDQN, _IBP),
    }


class _Shapes(gym.Env[Any, Any]):
    """Noise in the shapes of HalfCheetah, so that the loop measures the algorithm and not a simulator."""

    observation_space = spaces.Box(-np.inf, np.inf, (17,))
    action_space = spaces.Box(-1.0, 1.0, (6,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        return self._seen(), float(-np.square(action).sum()), self.np_random.random() < 0.005, False, {}

    def _seen(self) -> Any:
        return self.np_random.normal(size=17).astype(np.float32)


def _kinds(kappa: float) -> dict[str, Robustness]:
    solvers: dict[str, Any] = {
        "kappa 0": _IBP,
        "IBP": _IBP,
        "CROWN-IBP": _CROWN,
        "half each": ConvexRegularizer(beta=Constant(0.5)),
        "PGD-5": PGDRegularizer(steps=5),
        "SGLD-10": SGLDRegularizer(),
    }
    return {
        name: Robustness(
            perturbation=Linf(0.075),
            kappa=0.0 if name == "kappa 0" else kappa,
            regularizer=solver,
            ramp=Linear(length=50),
        )
        for name, solver in solvers.items()
    }


def ppo_agents() -> dict[str, Any]:
    """Make PPO and its robust kin anew, with the same settings."""
    settings: dict[str, Any] = {
        "policy_kwargs": {"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
        "n_steps": 128,
        "batch_size": 64,
        "seed": 0,
        "device": "cpu",
    }
    made: dict[str, Any] = {"PPO (stable-baselines3)": PPO("MlpPolicy", _Shapes(), **settings)}
    for name, robustness in _kinds(0.1).items():
        made[f"SA-PPO, {name}"] = SAPPO("MlpPolicy", _Shapes(), robustness=robustness, **settings)
    radial = _kinds(0.5)["IBP"]
    made["RADIAL-PPO, IBP"] = RADIALPPO("MlpPolicy", _Shapes(), robustness=radial, **settings)
    return made


def td3_agents() -> dict[str, Any]:
    """Make TD3 and its robust kin anew, with the same settings."""
    settings: dict[str, Any] = {
        "policy_kwargs": {"net_arch": [256, 256]},
        "batch_size": 256,
        "learning_starts": 280,
        "buffer_size": 10_000,
        "seed": 0,
        "device": "cpu",
    }
    made: dict[str, Any] = {"TD3 (stable-baselines3)": TD3("MlpPolicy", _Shapes(), **settings)}
    for name, robustness in _kinds(1.0).items():
        made[f"SA-TD3, {name}"] = SATD3("MlpPolicy", _Shapes(), robustness=robustness, **settings)
    return made


@dataclass(frozen=True)
class Family:
    """Agents that are measured together; the first of them is the parent.

    Args:
        make: gives them anew.
        warm: time steps before anything is measured.
        step: takes `steps` gradient steps of an agent.
        steps: see `step`.
        loop: time steps of a measured loop.
    """

    make: Callable[[], dict[str, Any]]
    warm: int
    step: Callable[[Any], object]
    steps: int
    loop: int


FAMILIES = {
    "dqn": Family(q_agents, 1000, lambda agent: agent.train(10, _BATCH), 10, 1000),
    "ppo": Family(ppo_agents, 128, lambda agent: agent.train(), 20, 128),
    "td3": Family(td3_agents, 300, lambda agent: agent.train(10, 256), 10, 20),
}


def seconds(call: Callable[[], object]) -> float:
    """Give the process time of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def attacked(*, rounds: int, count: int = 20) -> None:
    """Measure attacked steps of an agent with 400-300 units on Hopper-v5, `count` environments side by side, and print a table.

    Its weights are fresh, so that episodes are short: a step costs what it costs a trained agent's.
    """
    states, actions = 11, 3
    torch.manual_seed(0)
    critic = ActionCritic(MLP(sizes=(states + actions, 400, 300, 1)).build())
    network = MLP(sizes=(states, 400, 300, actions), squashed=True).build()
    agent = Agent(env="Hopper-v5", policy=Deterministic(network, critic=critic))
    table = Table("adversary", "attacked steps/s", title=f"{count} environments side by side, process time")
    with closing(environments.make_many(agent.env, count, seed=0)) as env:
        for adversary in (None, RandomNoise(), CriticAttack(), MaximalActionDifference()):
            best = 0.0
            for number in range(rounds):
                started = time.process_time()
                played = rollout(
                    agent,
                    env,
                    episodes=count,
                    seed=number,
                    adversary=adversary,
                    perturbation=agent.ball(0.05),
                    keep_states=False,
                )
                steps = (
                    int(played.lengths.max()) * count
                )  # environments that are done begin anew, and are attacked too
                best = max(best, steps / (time.process_time() - started))
            table.add_row("none" if adversary is None else adversary.name, f"{best:,.0f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    every = [*FAMILIES, "attacks"]
    parser.add_argument("--families", nargs="+", choices=every, default=every)
    parser.add_argument("--rounds", type=int, default=30, help="of ten gradient steps of each agent")
    parser.add_argument("--loops", type=int, default=3, help="of the learning loop of each agent")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.families:
        if name == "attacks":
            attacked(rounds=args.loops)
            continue
        measure(name, FAMILIES[name], rounds=args.rounds, loops=args.loops)


def measure(title: str, family: Family, *, rounds: int, loops: int) -> None:
    """Measure the agents of a family in turn, and print a table."""
    made = family.make()
    for agent in made.values():
        agent.learn(family.warm)
    steps: dict[str, list[float]] = {name: [] for name in made}
    whole: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(rounds):
        for name, agent in made.items():
            steps[name].append(seconds(lambda agent=agent: family.step(agent)) / family.steps)  # type: ignore[misc]
    for _ in range(loops):
        for name, agent in made.items():
            more = lambda agent=agent: agent.learn(family.loop, reset_num_timesteps=False)
            whole[name].append(seconds(more) / family.loop)
    parent = next(iter(made)).split(" ")[0]
    heads = ("agent", "step ms", f"x {parent}", "loop ms", f"x {parent}")
    table = Table(*heads, title=f"{title}: medians of process time")
    first, second = (median(next(iter(times.values()))) for times in (steps, whole))
    for name in made:
        step, loop = median(steps[name]), median(whole[name])
        table.add_row(
            name, f"{step * 1e3:.2f}", f"{step / first:.2f}", f"{loop * 1e3:.2f}", f"{loop / second:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
