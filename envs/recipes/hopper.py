"""Hopper: PPO, and SA-PPO, which keeps its gait when what it sees is changed. Radii count in normalised units."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Hopper", data=(Included("Hopper-v5", "gymnasium"),))


@FAMILY.recipe("hopper-ppo", "PPO", minutes=30)
def ppo() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Hopper-v5",
        subject="PPO",
        learning=envs.PPOLearning(timesteps=976 * 2048, actor_rate=3e-4, critic_rate=2.5e-4),
        eps=(0.025, 0.05, 0.075),
    )


@FAMILY.recipe("hopper-sappo", "SA-PPO, by bounds of the mean action", minutes=90)
def sappo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="SA-PPO (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.075),
            kappa=0.1,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=2048, length=732 * 2048),
        ),
    )
