"""Evaluation: rows that agree with each other, repeat by seed, and say what was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from robustsuite.envs import scale
from robustsuite.envs.attacks import Adversary, PGDOnQ, RandomNoise, TowardAction
from robustsuite.envs.evaluation import STRONGEST, AgentEvaluation, evaluate, share_of_steps
from robustsuite.envs.q_function import QFunction
from robustsuite.envs.rollout import rollout
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.runs.records import Record
from robustsuite.seeding import generator

from .cases import STD, controller

ADVERSARIES: tuple[Adversary, ...] = (RandomNoise(), PGDOnQ(steps=2), TowardAction(action=0, steps=2))


@pytest.fixture(scope="module")
def records() -> list[Record]:
    evaluation = AgentEvaluation(episodes=3, eps=(0.05, 0.5), adversaries=ADVERSARIES, details=True)
    return evaluate(controller(), evaluation, subject="controller", seed=0, recipe="none")


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
        assert value(records, "certified_return", eps, "IBP") <= lowest
        assert value(records, "certified_return", eps, "CROWN") <= lowest <= 500
        assert lowest <= min(value(records, "return", eps, adversary.name) for adversary in ADVERSARIES)
        ibp, crown = (value(records, "certified_actions", eps, name) for name in ("IBP", "CROWN"))
        assert 0 <= ibp <= crown <= value(records, "kept_actions", eps, "PGD on Q") <= 1


def test_records_say_on_what_and_how_many(records: list[Record]) -> None:
    assert {r.domain for r in records} == {"envs"}
    assert {r.data for r in records} == {"CartPole-v1"}
    assert all(r.low <= r.value <= r.high for r in records)
    assert {r.n for r in records if r.metric.name == "return"} == {3}
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
    evaluation = AgentEvaluation(episodes=3, eps=(0.05, 0.5), adversaries=ADVERSARIES, details=True)
    again = evaluate(controller(), evaluation, subject="controller", seed=0, recipe="none")
    assert [(r.key, r.value, r.low, r.high) for r in again] == [
        (r.key, r.value, r.low, r.high) for r in records
    ]


def test_the_share_of_steps_weighs_steps_not_episodes() -> None:
    played = rollout(controller().q_function(), "CartPole-v1", [0, 1])
    flags = np.zeros(len(played.episode), dtype=bool)
    flags[: len(flags) // 4] = True
    estimate = share_of_steps(flags, played)
    assert estimate.value == pytest.approx(flags.mean())
    assert estimate.low <= estimate.value <= estimate.high
    with pytest.raises(InvalidInput, match="one per step"):
        share_of_steps(flags[:-1], played)


def test_one_batch_holds_a_whole_curve() -> None:
    """Episodes with balls of their own in one batch end as they do alone (a deterministic adversary)."""

    class Shift:
        name = "shift"

        def __call__(
            self,
            q: QFunction,
            states: torch.Tensor,
            perturbation: Perturbation,
            *,
            generator: torch.Generator,
        ) -> torch.Tensor:
            return perturbation.around(states).upper

    q, balls = controller().q_function(), [scale.ball(eps, STD) for eps in (0.1, 0.8)]
    together = rollout(
        q, "CartPole-v1", [7, 7], adversary=Shift(), perturbations=balls, generator=generator(0)
    )
    for index, ball in enumerate(balls):
        alone = rollout(
            q, "CartPole-v1", [7], adversary=Shift(), perturbations=[ball], generator=generator(0)
        )
        assert together.returns[index] == alone.returns[0]
    assert together.returns[0] != together.returns[1]


def test_the_callers_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    rollout(controller().q_function(), "CartPole-v1", [0])
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_wrong_calls_are_refused() -> None:
    q = controller().q_function()
    with pytest.raises(InvalidInput, match="got no seeds"):
        rollout(q, "CartPole-v1", [])
    with pytest.raises(InvalidInput, match="0 balls for 1 episodes and no generator"):
        rollout(q, "CartPole-v1", [0], adversary=RandomNoise())
    with pytest.raises(InvalidInput, match="eps is (0.0|inf); expected a number > 0"):
        AgentEvaluation(eps=(0.0,))
    with pytest.raises(InvalidInput, match="eps is (0.0|inf); expected a number > 0"):
        AgentEvaluation(eps=(math.inf,))
