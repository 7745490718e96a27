"""Ant: PPO and DDPG, and their robust kin."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Ant", data=(Included("Ant-v5", "gymnasium"),))


@FAMILY.recipe("ant-ppo", "PPO", minutes=240)
def ppo() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Ant-v5",
        subject="PPO",
        learning=envs.PPOLearning(timesteps=4882 * 2048, actor_rate=5e-5, critic_rate=1e-5, value_clip=0.2),
        eps=(0.05, 0.1, 0.15),
    )


@FAMILY.recipe("ant-sappo", "SA-PPO, by bounds of the mean action", minutes=960)
def sappo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="SA-PPO (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.15),
            kappa=0.003,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=2048, length=3662 * 2048),
        ),
    )


@FAMILY.recipe("ant-radial", "RADIAL-PPO, by intervals of the mean action", minutes=480)
def radial() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="RADIAL-PPO",
        learning=envs.RADIALPPOLearning(
            timesteps=4882 * 2048, actor_rate=5e-5, critic_rate=1e-5, value_clip=0.2
        ),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.15),
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=2048, length=3662 * 2048),
        ),
    )


@FAMILY.recipe("ant-ddpg", "DDPG", minutes=700)
def ddpg() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Ant-v5",
        subject="DDPG",
        learning=envs.DDPGLearning(critic_rate=1e-4),
        measured=True,
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=1_000_000, length=500_000)),
        eps=(0.05, 0.1, 0.2),
    )


@FAMILY.recipe("ant-saddpg", "SA-DDPG, by bounds of the action", minutes=1400)
def saddpg() -> envs.ContinuousAgent:
    return replace(
        ddpg(),
        subject="SA-DDPG (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.2),
            kappa=100.0,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=1_000_000, length=500_000),
        ),
    )
