"""InvertedPendulum: DDPG and SA-DDPG."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("InvertedPendulum", data=(Included("InvertedPendulum-v5", "gymnasium"),))


@FAMILY.recipe("invertedpendulum-ddpg", "DDPG", minutes=120)
def ddpg() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="InvertedPendulum-v5",
        subject="DDPG",
        learning=envs.DDPGLearning(),
        # Of the authors' trained agent.
        deviations=(0.0706, 0.021, 0.1186, 0.1075),
        eps=(0.1, 0.2, 0.3),
    )


@FAMILY.recipe("invertedpendulum-saddpg", "SA-DDPG, by bounds of the action", minutes=240)
def saddpg() -> envs.ContinuousAgent:
    return replace(
        ddpg(),
        subject="SA-DDPG (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.3),
            kappa=1.0,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=1_000_000, length=500_000),
        ),
    )
