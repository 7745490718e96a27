"""CartPole: DQN, which loses its return under small changes of what it sees, and SA-DQN, which keeps it."""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("CartPole", data=(Included("CartPole-v1", "gymnasium"),))


@FAMILY.recipe("cartpole-dqn", "DQN, which loses all under small changes", minutes=0.5)
def dqn() -> envs.QAgent:
    return envs.QAgent(
        env="CartPole-v1",
        subject="DQN",
        validation=envs.Validation(every=1000, enough=500.0),
    )


@FAMILY.recipe("cartpole-sadqn", "SA-DQN, by IBP bounds of Q differences", minutes=2)
def sadqn() -> envs.QAgent:
    # One action in five stays random: so the agent knows the states into which an adversary that forces actions leads it.
    return envs.QAgent(
        env="CartPole-v1",
        subject="SA-DQN (convex)",
        learning=envs.QLearning(exploration_final=0.2),
        radius=0.15,
        robustness=envs.Robustness(
            kappa=0.1,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=12_000, length=16_000),
        ),
        validation=envs.Validation(every=2000, eps=0.15, enough=500.0, patience=2, attack_from=1.0),
    )


@FAMILY.recipe("cartpole-sadqn-pgd", "SA-DQN, by PGD on the margin", minutes=3)
def sadqn_pgd() -> envs.QAgent:
    convex = sadqn()
    return replace(
        convex,
        subject="SA-DQN (PGD)",
        robustness=replace(convex.robustness, regularizer=envs.PGDRegularizer(steps=5)),
    )


@FAMILY.recipe("cartpole-cardqn", "CAR-DQN, by IBP bounds of the Bellman error", minutes=3)
def cardqn() -> envs.QAgent:
    return envs.QAgent(
        env="CartPole-v1",
        subject="CAR-DQN (convex)",
        learning=envs.CARLearning(double=True),
        radius=0.2,
        robustness=envs.Robustness(
            kappa=1.0,
            regularizer=envs.ConvexRegularizer(beta=rs.training.Constant(0.0)),
            ramp=rs.training.Linear(begin=10_000, length=15_000),
        ),
        validation=envs.Validation(every=2000, eps=0.2, enough=500.0, patience=2, attack_from=1.0),
    )
