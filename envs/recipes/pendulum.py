"""Pendulum: TD3 and SA-TD3, the shortest of the trainings with continuous actions."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Pendulum", data=(Included("Pendulum-v1", "gymnasium"),))


@FAMILY.recipe("pendulum-td3", "TD3", minutes=5)
def td3() -> envs.ContinuousAgent:
    return envs.ContinuousAgent(
        env="Pendulum-v1",
        subject="TD3",
        learning=envs.TD3Learning(
            timesteps=20_000, hidden=(64, 64), batch_size=128, buffer_size=20_000, learning_starts=1000
        ),
        measured=True,
        robustness=envs.Robustness(ramp=rs.training.Linear(begin=8000, length=6000)),
        eps=(0.05, 0.1, 0.2),
    )


@FAMILY.recipe("pendulum-satd3", "SA-TD3, by bounds of the action", minutes=8)
def satd3() -> envs.ContinuousAgent:
    return replace(
        td3(),
        subject="SA-TD3 (convex)",
        robustness=envs.Robustness(
            perturbation=rs.Linf(0.1),
            kappa=1.0,
            regularizer=envs.ConvexRegularizer(),
            ramp=rs.training.Linear(begin=8000, length=6000),
        ),
    )
