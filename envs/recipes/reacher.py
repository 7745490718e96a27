"""Reacher: DDPG and SA-DDPG."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Reacher", data=(Included("Reacher-v5", "gymnasium"),))


@FAMILY.recipe("reacher-ddpg", "DDPG", minutes=300)
def ddpg() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Reacher-v5",
        subject="DDPG",
        learning=envs.DDPGLearning(),
        measured=True,
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=1_000_000, length=500_000)),
        eps=(0.5, 1.0, 1.5),
    )


@FAMILY.recipe("reacher-saddpg", "SA-DDPG, by bounds of the action", minutes=600)
def saddpg() -> envs.ContinuousAgent:
    return replace(
        ddpg(),
        subject="SA-DDPG (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(1.5),
            kappa=1.0,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=1_000_000, length=500_000),
        ),
    )
