"""Acrobot: DQN and SA-DQN."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Acrobot", data=(Included("Acrobot-v1", "gymnasium"),))


@FAMILY.recipe("acrobot-dqn", "DQN", minutes=2)
def dqn() -> envs.QAgent:
    return envs.QAgent(
        env="Acrobot-v1",
        subject="DQN",
        learning=envs.QLearning(timesteps=60_000, learning_rate=1e-3),
        validation=envs.Validation(every=4000),
    )


@FAMILY.recipe("acrobot-sadqn", "SA-DQN, by CROWN-IBP bounds of Q differences", minutes=4)
def sadqn() -> envs.QAgent:
    return replace(
        dqn(),
        subject="SA-DQN (convex)",
        radius=0.1,
        robustness=envs.Robustness(
            kappa=0.1,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(1.0)),
            ramp=rs.training.Linear(begin=30_000, length=12_000),
        ),
        validation=envs.Validation(every=4000, eps=0.1, attack_from=0.5, restart_from_best=True),
    )


@FAMILY.recipe("acrobot-cardqn", "CAR-DQN, by IBP bounds of the Bellman error", minutes=4)
def cardqn() -> envs.QAgent:
    base = sadqn()
    return replace(
        base,
        subject="CAR-DQN (convex)",
        learning=envs.CARLearning(timesteps=60_000, learning_rate=1e-3, double=True),
        robustness=replace(
            base.robustness, kappa=1.0, regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0))
        ),
    )
