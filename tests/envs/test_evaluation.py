"""Evaluation: rows that agree with each other, repeat by seed, and say what was measured."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from robustsuite.envs import scale
from robustsuite.envs.attacks import Adversary, PGDOnQ, RandomNoise, TowardAction
from robustsuite.envs.attacks.adversary import Memoryless
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.evaluate import (
    STRONGEST,
    STRONGEST_BY_MEAN,
    AgentEvaluation,
    evaluate,
    share_of_steps,
)
from robustsuite.envs.evaluation.rollout import Rollout, rollout
from robustsuite.envs.policies import Policy
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.runs.records import Record
from robustsuite.seeding import ExampleSeeds

from .cases import STD, controller

ADVERSARIES: tuple[Adversary, ...] = (RandomNoise(), PGDOnQ(steps=1), TowardAction(action=0, steps=1))


pytestmark = pytest.mark.xdist_group("agents' evaluation")  # they share what is measured once


def _measured() -> list[Record]:
    evaluation = AgentEvaluation(episodes=2, eps=(0.05, 0.5), adversaries=ADVERSARIES, details=True)
    return evaluate(controller(), evaluation, subject="controller", seed=0, recipe="none")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return _measured()


def play(
    episodes: int,
    *,
    side_by_side: int | None = None,
    first: int = 7,
    adversary: Adversary | None = None,
    eps: float = 0.1,
    env_name: str = "CartPole-v1",
) -> Rollout:
    with closing(lockstep(env_name, side_by_side or max(episodes, 1))) as env:
        return rollout(
            controller(),
            env,
            episodes=episodes,
            seed=first,
            adversary=adversary,
            perturbation=scale.ball(eps, STD) if adversary else None,
        )


def value(records: list[Record], metric: str, perturbation: str, method: str) -> float:
    (record,) = (
        r for r in records if (r.metric.name, r.perturbation, r.method) == (metric, perturbation, method)
    )
    return record.value


def test_the_controller_balances(records: list[Record]) -> None:
    assert value(records, "return", "none", "none") == 500


def test_certified_attacked_and_natural_are_in_order(records: list[Record]) -> None:
    for eps in ("Linf_std(0.05)", "Linf_std(0.5)"):
        lowest = value(records, "return", eps, STRONGEST)
        assert lowest <= value(records, "return", eps, STRONGEST_BY_MEAN)
        assert value(records, "certified_return", eps, "IBP") <= lowest
        assert value(records, "certified_return", eps, "CROWN") <= lowest <= 500
        assert lowest <= min(value(records, "return", eps, adversary.name) for adversary in ADVERSARIES)
        ibp, crown = (value(records, "certified_actions", eps, name) for name in ("IBP", "CROWN"))
        assert 0 <= ibp <= crown <= value(records, "kept_actions", eps, "PGD on Q") <= 1


def test_records_say_on_what_and_how_many(records: list[Record]) -> None:
    assert {r.domain for r in records} == {"envs"}
    assert {r.data for r in records} == {"CartPole-v1"}
    assert all(r.low <= r.value <= r.high for r in records)
    assert {r.n for r in records if r.metric.name == "return"} == {2}
    assert len({r.key for r in records}) == len(records)


def test_details_are_left_out_unless_asked_for(records: list[Record]) -> None:
    plain = evaluate(
        controller(), AgentEvaluation(episodes=1, eps=(0.05,), adversaries=()), subject="controller", seed=0
    )
    assert {r.metric.name for r in plain} == {"return", "certified_actions"}
    assert {r.metric.name for r in records} == {
        "return",
        "certified_actions",
        "certified_return",
        "kept_actions",
    }


def test_same_seed_same_records(records: list[Record]) -> None:
    assert [(r.key, r.value, r.low, r.high) for r in _measured()] == [
        (r.key, r.value, r.low, r.high) for r in records
    ]


def test_the_share_of_steps_weighs_steps_not_episodes() -> None:
    played = play(2)
    flags = np.zeros(len(played.episode), dtype=bool)
    flags[: len(flags) // 4] = True
    estimate = share_of_steps(flags, played)
    assert estimate.value == pytest.approx(flags.mean())
    assert estimate.low <= estimate.value <= estimate.high
    with pytest.raises(InvalidInput, match="one per step"):
        share_of_steps(flags[:-1], played)


@dataclass(frozen=True)
class Shift(Memoryless):
    """Show the upper corner."""

    name = "shift"

    def shown(
        self, policy: Policy, states: torch.Tensor, perturbation: Perturbation, seeds: ExampleSeeds
    ) -> torch.Tensor:
        return perturbation.around(states).upper


def test_an_episode_does_not_depend_on_what_else_is_played() -> None:
    """Neither on the episodes beside it nor on the rounds they are played in, random numbers included."""
    for adversary in (RandomNoise(), Shift(), PGDOnQ(steps=1)):
        together = play(3, adversary=adversary, eps=0.6)
        in_rounds = play(3, side_by_side=2, adversary=adversary, eps=0.6)
        np.testing.assert_array_equal(together.returns, in_rounds.returns)
        later = play(1, first=9, adversary=adversary, eps=0.6)
        np.testing.assert_array_equal(together.returns[2:], later.returns)
    assert play(1, adversary=Shift(), eps=0.1).returns[0] != play(1, adversary=Shift(), eps=0.8).returns[0]


def test_the_callers_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    play(1)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(InvalidInput, match="episodes is 0"):
        play(0)
    with (
        pytest.raises(InvalidInput, match="perturbation is None"),
        closing(lockstep("CartPole-v1", 1)) as env,
    ):
        rollout(controller(), env, episodes=1, seed=0, adversary=RandomNoise())
    with pytest.raises(InvalidInput, match="expected the environment that it was trained on"):
        play(1, env_name="Pendulum-v1")
    with pytest.raises(InvalidInput, match="eps is (0.0|inf); expected a number > 0"):
        AgentEvaluation(eps=(0.0,))
    with pytest.raises(InvalidInput, match="eps is (0.0|inf); expected a number > 0"):
        AgentEvaluation(eps=(math.inf,))
