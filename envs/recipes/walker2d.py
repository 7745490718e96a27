"""Walker2d: PPO and DDPG, and their robust kin."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Walker2d", data=(Included("Walker2d-v5", "gymnasium"),))


@FAMILY.recipe("walker2d-ppo", "PPO", minutes=35)
def ppo() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Walker2d-v5",
        subject="PPO",
        learning=envs.PPOLearning(timesteps=976 * 2048, actor_rate=4e-4, critic_rate=3e-4, value_clip=0.2),
        eps=(0.025, 0.05),
    )


@FAMILY.recipe("walker2d-sappo", "SA-PPO, by bounds of the mean action", minutes=140)
def sappo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="SA-PPO (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.05),
            kappa=0.1,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=2048, length=732 * 2048),
        ),
    )


@FAMILY.recipe("walker2d-radial", "RADIAL-PPO, by intervals of the mean action", minutes=70)
def radial() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="RADIAL-PPO",
        learning=envs.RADIALPPOLearning(
            timesteps=976 * 2048, actor_rate=4e-4, critic_rate=3e-4, value_clip=0.2
        ),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.05),
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=2048, length=732 * 2048),
        ),
    )


@FAMILY.recipe("walker2d-ddpg", "DDPG", minutes=600)
def ddpg() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Walker2d-v5",
        subject="DDPG",
        learning=envs.DDPGLearning(),
        measured=True,
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=1_000_000, length=500_000)),
        eps=(0.025, 0.05),
    )


@FAMILY.recipe("walker2d-saddpg", "SA-DDPG, by bounds of the action", minutes=1200)
def saddpg() -> envs.ContinuousAgent:
    return replace(
        ddpg(),
        subject="SA-DDPG (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.05),
            kappa=300.0,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=1_000_000, length=500_000),
        ),
    )
