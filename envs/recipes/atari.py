"""Atari: DQN and SA-DQN on one cropped grey frame, with the hyper-parameters of SA-DQN's authors.

Source: Zhang et al. 2020, section 4 and appendix, and the configuration files of the authors' code.
"""

from __future__ import annotations

from dataclasses import replace

import robustsuite as rs
from robustsuite.recipes import Family
from robustsuite.sources import Included

from ... import envs

FAMILY = Family("Atari", data=(Included("games", "ale-py"),))
_KAPPAS = {"Pong": 0.005, "Freeway": 0.005, "BankHeist": 0.02, "RoadRunner": 0.01}
_TARGETS = {"RoadRunner": 32_000}
_RATES = {"BankHeist": 1e-5}


def _dqn(game: str) -> envs.QAgent:
    return envs.QAgent(
        env=f"robustsuite/{game}-v0",
        subject="DQN",
        learning=envs.QLearning(
            timesteps=6_000_000,
            environments=1,
            learning_rate=_RATES.get(game, 6.25e-5),
            decay=0.0,
            batch_size=32,
            buffer_size=200_000,
            learning_starts=80_000,
            collect=1,
            updates=1,
            target_every=2000,
            tau=1.0,
            exploration_fraction=0.25,
            exploration_final=0.05,
            dueling=True,
            prioritized=envs.Prioritized(
                alpha=0.5, beta=rs.training.Linear(start=0.4, end=1.0, length=6_000_000)
            ),
        ),
        validation=envs.Validation(every=100_000, episodes=10),
        eps=(1 / 255, 3 / 255, 5 / 255),
        episodes=20,
    )


def _sadqn(game: str) -> envs.QAgent:
    base = _dqn(game)
    return replace(
        base,
        subject="SA-DQN (convex)",
        learning=replace(base.learning, target_every=_TARGETS.get(game, 2000)),
        radius=1 / 255,
        robustness=envs.Robustness(
            kappa=_KAPPAS[game], ramp=rs.training.SmoothedRamp(begin=1_500_000, length=4_000_000)
        ),
    )


@FAMILY.recipe("pong-dqn", "DQN", minutes=3000)
def pong_dqn() -> envs.QAgent:
    return _dqn("Pong")


@FAMILY.recipe("pong-sadqn", "SA-DQN, by bounds of Q differences", minutes=9000)
def pong_sadqn() -> envs.QAgent:
    return _sadqn("Pong")


@FAMILY.recipe("freeway-dqn", "DQN", minutes=3000)
def freeway_dqn() -> envs.QAgent:
    return _dqn("Freeway")


@FAMILY.recipe("freeway-sadqn", "SA-DQN, by bounds of Q differences", minutes=9000)
def freeway_sadqn() -> envs.QAgent:
    return _sadqn("Freeway")


@FAMILY.recipe("bankheist-dqn", "DQN", minutes=3000)
def bankheist_dqn() -> envs.QAgent:
    return _dqn("BankHeist")


@FAMILY.recipe("bankheist-sadqn", "SA-DQN, by bounds of Q differences", minutes=9000)
def bankheist_sadqn() -> envs.QAgent:
    return _sadqn("BankHeist")


@FAMILY.recipe("roadrunner-dqn", "DQN", minutes=3000)
def roadrunner_dqn() -> envs.QAgent:
    return _dqn("RoadRunner")


@FAMILY.recipe("roadrunner-sadqn", "SA-DQN, by bounds of Q differences", minutes=9000)
def roadrunner_sadqn() -> envs.QAgent:
    return _sadqn("RoadRunner")
