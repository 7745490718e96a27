"""DQN and its robust kin on any environment that shows vectors and takes discrete actions: ``--env LunarLander-v3``."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import envs

FAMILY = Family("any environment with vectors and discrete actions (--env)")
_TIMESTEPS = 60_000


@FAMILY.recipe("dqn", "DQN", minutes=3)
def dqn() -> envs.QAgent:
    return envs.QAgent(
        env="CartPole-v1",
        subject="DQN",
        learning=envs.QLearning(timesteps=_TIMESTEPS),
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=20_000, length=20_000)),
        validation=envs.Validation(every=2000),
    )


@FAMILY.recipe("sa-dqn", "SA-DQN, by IBP bounds of Q differences", minutes=6)
def sa_dqn() -> envs.QAgent:
    return replace(
        dqn(),
        subject="SA-DQN (convex)",
        radius=0.1,
        robustness=envs.Robustness(
            kappa=1.0,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=20_000, length=20_000),
        ),
        validation=envs.Validation(every=2000, eps=0.1, attack_from=0.5),
    )


@FAMILY.recipe("car-dqn", "CAR-DQN, by IBP bounds of the Bellman error", minutes=6)
def car_dqn() -> envs.QAgent:
    return replace(
        sa_dqn(), subject="CAR-DQN (convex)", learning=envs.CARLearning(timesteps=_TIMESTEPS, double=True)
    )


@FAMILY.recipe("radial-dqn", "RADIAL-DQN, by IBP bounds of Q", minutes=6)
def radial_dqn() -> envs.QAgent:
    base = sa_dqn()
    return replace(
        base,
        subject="RADIAL-DQN",
        learning=envs.RADIALLearning(timesteps=_TIMESTEPS),
        robustness=replace(base.robustness, kappa=0.2),
    )
