"""HalfCheetah: PPO and its robust kin."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("HalfCheetah", data=(Included("HalfCheetah-v5", "gymnasium"),))


@FAMILY.recipe("halfcheetah-ppo", "PPO", minutes=35)
def ppo() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="HalfCheetah-v5",
        subject="PPO",
        learning=envs.PPOLearning(
            timesteps=976 * 2048, actor_rate=3e-4, critic_rate=1e-4, value_clip=0.2, initial_std=0.5
        ),
        eps=(0.05, 0.1, 0.15),
    )


@FAMILY.recipe("halfcheetah-sappo", "SA-PPO, by bounds of the mean action", minutes=140)
def sappo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="SA-PPO (convex)",
        learning=envs.PPOLearning(
            timesteps=976 * 2048,
            actor_rate=1e-4,
            critic_rate=1e-3,
            decay=0.0,
            entropy=1e-4,
            value_clip=0.2,
            initial_std=0.5,
        ),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.15),
            kappa=0.1,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=2048, length=732 * 2048),
        ),
    )


@FAMILY.recipe("halfcheetah-radial", "RADIAL-PPO, by intervals of the mean action", minutes=70)
def radial() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="RADIAL-PPO",
        learning=envs.RADIALPPOLearning(
            timesteps=976 * 2048,
            actor_rate=1e-4,
            critic_rate=1e-3,
            decay=0.0,
            entropy=1e-4,
            value_clip=0.2,
            initial_std=0.5,
        ),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.15),
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=2048, length=732 * 2048),
        ),
    )
