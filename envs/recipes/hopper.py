"""Hopper: PPO and DDPG, and their robust kin, which keep their gait when what they see is changed."""

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


@FAMILY.recipe("hopper-sappo", "SA-PPO, by bounds of the mean action", minutes=120)
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


@FAMILY.recipe("hopper-radial", "RADIAL-PPO, by intervals of the mean action", minutes=60)
def radial() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="RADIAL-PPO",
        learning=envs.RADIALPPOLearning(timesteps=976 * 2048, actor_rate=3e-4, critic_rate=2.5e-4),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.075),
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=2048, length=732 * 2048),
        ),
    )


@FAMILY.recipe("hopper-ddpg", "DDPG", minutes=600)
def ddpg() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Hopper-v5",
        subject="DDPG",
        learning=envs.DDPGLearning(critic_rate=1e-4),
        # Of the authors' trained agent.
        deviations=(0.1754, 0.1128, 0.1404, 0.3363, 0.6434, 0.6842, 1.422, 1.9851, 1.8618, 3.7303, 5.3977),
        eps=(0.025, 0.05, 0.075),
    )


@FAMILY.recipe("hopper-saddpg", "SA-DDPG, by bounds of the action", minutes=1200)
def saddpg() -> envs.ContinuousAgent:
    return replace(
        ddpg(),
        subject="SA-DDPG (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.075),
            kappa=1000.0,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=1_000_000, length=500_000),
        ),
    )
