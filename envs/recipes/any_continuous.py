"""PPO, TD3 and their robust kin on any environment that shows vectors and takes vectors of actions: ``--env Swimmer-v5``."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family

from ... import envs

FAMILY = Family("any environment with vectors and continuous actions (--env)")


@FAMILY.recipe("ppo", "PPO; radii count in normalised units", minutes=15)
def ppo() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Pendulum-v1",
        subject="PPO",
        learning=envs.PPOLearning(timesteps=488 * 2048),
        eps=(0.05, 0.1, 0.15),
    )


@FAMILY.recipe("sa-ppo", "SA-PPO, by bounds of the mean action", minutes=45)
def sa_ppo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="SA-PPO (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.1),
            kappa=0.1,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=2048, length=366 * 2048),
        ),
    )


@FAMILY.recipe("radial-ppo", "RADIAL-PPO, by intervals of the mean action", minutes=25)
def radial_ppo() -> envs.ContinuousAgent:
    return replace(
        ppo(),
        subject="RADIAL-PPO",
        learning=envs.RADIALPPOLearning(timesteps=488 * 2048),
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.1),
            kappa=0.5,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=2048, length=366 * 2048),
        ),
    )


@FAMILY.recipe("td3", "TD3; radii count measured deviations", minutes=60)
def td3() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Pendulum-v1",
        subject="TD3",
        learning=envs.TD3Learning(timesteps=200_000, buffer_size=200_000),
        measured=True,
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=100_000, length=50_000)),
        eps=(0.05, 0.1, 0.15),
    )


@FAMILY.recipe("sa-td3", "SA-TD3, by bounds of the action", minutes=120)
def sa_td3() -> envs.ContinuousAgent:
    base = td3()
    return replace(
        base,
        subject="SA-TD3 (convex)",
        robustness=replace(
            base.robustness, perturbation=rs.Linf(0.1), kappa=1.0, regularizer=envs.ConvexRegularizer()
        ),
    )
