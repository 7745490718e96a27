"""LunarLander: DQN, SA-DQN, CAR-DQN. Radii count in deviations that are measured in the run (see `QAgent`)."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("LunarLander", data=(Included("LunarLander-v3", "gymnasium[box2d]"),))
_TIMESTEPS = 150_000


@FAMILY.recipe("lunarlander-dqn", "DQN, with the hyper-parameters of the RL Zoo", minutes=10)
def dqn() -> envs.QAgent:
    return envs.QAgent(
        env="LunarLander-v3",
        subject="DQN",
        learning=envs.QLearning(
            timesteps=_TIMESTEPS,
            hidden=(256, 256),
            learning_rate=6.3e-4,
            buffer_size=50_000,
            updates=64,
            target_every=256,
            tau=1.0,
            exploration_fraction=0.12,
            exploration_final=0.1,
        ),
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=75_000, length=50_000)),
        validation=envs.Validation(every=10_000),
    )


@FAMILY.recipe("lunarlander-sadqn", "SA-DQN, by IBP bounds of Q differences", minutes=25)
def sadqn() -> envs.QAgent:
    base = dqn()
    return replace(
        base,
        subject="SA-DQN (convex)",
        radius=0.05,
        robustness=replace(
            base.robustness,
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
        ),
        validation=envs.Validation(every=10_000, eps=0.05, attack_from=0.5),
        eps=(0.02, 0.05, 0.1),
    )


@FAMILY.recipe("lunarlander-cardqn", "CAR-DQN, by IBP bounds of the Bellman error", minutes=25)
def cardqn() -> envs.QAgent:
    base = sadqn()
    return replace(
        base,
        subject="CAR-DQN (convex)",
        learning=envs.CARLearning(
            timesteps=_TIMESTEPS,
            hidden=(256, 256),
            learning_rate=6.3e-4,
            buffer_size=50_000,
            updates=64,
            target_every=256,
            tau=1.0,
            exploration_fraction=0.12,
            exploration_final=0.1,
            double=True,
        ),
        robustness=replace(base.robustness, kappa=1.0),
    )
