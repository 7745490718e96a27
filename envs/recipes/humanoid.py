"""Humanoid: PPO and its robust kin."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Humanoid", data=(Included("Humanoid-v5", "gymnasium"),))


@FAMILY.recipe("humanoid-ppo", "PPO", minutes=400)
def ppo() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Humanoid-v5",
        subject="PPO",
        learning=envs.PPOLearning(timesteps=4882 * 2048, actor_rate=5e-5, critic_rate=1e-5, value_clip=0.2),
        eps=(0.025, 0.05, 0.075),
    )


@FAMILY.recipe("humanoid-sappo", "SA-PPO, by bounds of the mean action", minutes=1600)
def sappo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="SA-PPO (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.075),
            kappa=0.003,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=2048, length=3662 * 2048),
        ),
    )


@FAMILY.recipe("humanoid-radial", "RADIAL-PPO, by intervals of the mean action", minutes=800)
def radial() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="RADIAL-PPO",
        learning=envs.RADIALPPOLearning(
            timesteps=4882 * 2048, actor_rate=5e-5, critic_rate=1e-5, value_clip=0.2
        ),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.075),
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=2048, length=3662 * 2048),
        ),
    )
