"""Measure what a gradient step and the whole loop of a robust algorithm cost, over stable-baselines3's own DQN.

CartPole-v1, 128x128 units, batch 128, one thread; all agents in one process, their steps in turn, so that a noisy machine
disturbs all alike. Medians of process time, and ratios to DQN, are printed.

    python scripts/bench_rl.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3 import DQN

from robustsuite.envs import (
    CARDQN,
    RADIALDQN,
    SADQN,
    ConvexRegularizer,
    PGDRegularizer,
    Prioritized,
    Robustness,
    scale,
)
from robustsuite.training import Constant, Linear

_IBP, _CROWN = ConvexRegularizer(beta=Constant(0.0)), ConvexRegularizer(beta=Constant(1.0))
_BATCH = 128


def agents() -> dict[str, DQN]:
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


def seconds(call: Callable[[], object]) -> float:
    """Give the process time of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="of ten gradient steps of each agent")
    parser.add_argument("--loops", type=int, default=3, help="of 1000 time steps of each agent")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = agents()
    for agent in made.values():
        agent.learn(1000)
    steps: dict[str, list[float]] = {name: [] for name in made}
    loops: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(args.rounds):
        for name, agent in made.items():
            steps[name].append(seconds(lambda agent=agent: agent.train(10, _BATCH)) / 10)  # type: ignore[misc]
    for _ in range(args.loops):
        for name, agent in made.items():
            more = lambda agent=agent: agent.learn(1000, reset_num_timesteps=False)
            loops[name].append(seconds(more) / 1000)
    table = Table("agent", "step ms", "x DQN", "loop ms", "x DQN", title="medians of process time")
    first, second = (median(next(iter(times.values()))) for times in (steps, loops))
    for name in made:
        step, loop = median(steps[name]), median(loops[name])
        table.add_row(
            name, f"{step * 1e3:.2f}", f"{step / first:.2f}", f"{loop * 1e3:.2f}", f"{loop / second:.2f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
