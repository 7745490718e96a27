"""Certificates: true by sampling and attack, exact where a closed form is known, and what they say about returns."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import torch

from robustsuite import bounds, seeding
from robustsuite.envs import scale
from robustsuite.envs.attacks import PGDOnQ, TowardAction
from robustsuite.envs.certificates.actions import METHODS, certified_actions, certified_returns
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import Rollout, rollout
from robustsuite.errors import InvalidInput

from .cases import STD, controller, q_agent, shown


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("actions", [2, 4])
def test_ibp_within_crown_within_what_pgd_cannot_flip(eps: float, actions: int) -> None:
    torch.manual_seed(0)
    q = q_agent((4, 24, 24, actions)).policy
    states, ball = torch.randn(300, 4), scale.ball(eps, STD)
    ibp = certified_actions(q, states, ball, method=bounds.ibp)
    crown = certified_actions(q, states, ball, method=bounds.crown)
    kept = q.act(shown(PGDOnQ(steps=20), q, states, ball)) == q.act(states)
    assert (ibp <= crown).all()
    assert (crown <= kept).all()
    stream = seeding.generator(1)
    for _ in range(50):
        sampled = ball.around(states).sample(generator=stream)
        assert (q.act(sampled) == q.act(states))[crown].all()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_exact_on_the_known_controller(method: bounds.Method) -> None:
    stream = seeding.generator(0)
    states = torch.randn(500, 4, generator=stream) * torch.tensor([1.0, 1.0, 0.1, 0.3])
    slope, eps = torch.tensor([0.05, 0.1, 1.0, 0.3]), 0.1 * torch.tensor(STD)
    margin = (states @ slope).abs() - slope @ eps
    certified = certified_actions(controller().policy, states, scale.ball(0.1, STD), method=method)
    clear = margin.abs() > 1e-5
    assert torch.equal(certified[clear], (margin > 0)[clear])


def test_a_tie_is_not_certified() -> None:
    q = controller().policy
    assert not certified_actions(q, torch.zeros(1, 4), scale.ball(0.0, STD)).any()


def test_no_attack_undercuts_a_certified_return() -> None:
    agent = controller()
    with closing(lockstep(agent.env, 2)) as env:
        natural = rollout(agent, env, episodes=2, seed=0)
        for eps in (0.001, 0.5):
            ball = agent.ball(eps)
            certified = certified_actions(agent.policy, torch.from_numpy(natural.states), ball).numpy()
            values = certified_returns(natural, certified, lowest_reward=1.0, horizon=500)
            assert (values <= natural.returns).all()
            for adversary in (PGDOnQ(steps=1), TowardAction(action=0, steps=1)):
                attacked = rollout(agent, env, episodes=2, seed=0, adversary=adversary, perturbation=ball)
                assert (values <= attacked.returns).all()


def test_certified_returns_by_hand() -> None:
    played = Rollout(
        returns=np.array([3.0, 4.0]),
        states=np.zeros((7, 1), dtype=np.float32),
        rewards=np.ones(7),
        episode=np.array([0, 1, 0, 1, 0, 1, 1]),
        moved=np.zeros(7, dtype=np.float32),
    )
    whole = np.ones(7, dtype=bool)
    np.testing.assert_array_equal(
        certified_returns(played, whole, lowest_reward=-1.0, horizon=10), played.returns
    )
    gap = whole.copy()
    gap[3] = False  # the second step of episode 1
    np.testing.assert_array_equal(certified_returns(played, gap, lowest_reward=-1.0, horizon=10), [3.0, -8.0])
    np.testing.assert_array_equal(certified_returns(played, gap, lowest_reward=1.0, horizon=10), [3.0, 2.0])
    with pytest.raises(InvalidInput, match="one flag per step"):
        certified_returns(played, whole[:3], lowest_reward=0.0, horizon=10)


def test_bounds_of_rounding_certify_no_more() -> None:
    agent, states = controller(), torch.randn(200, 4, generator=seeding.generator(0)) * 0.1
    for method in METHODS.values():
        plain = certified_actions(agent.policy, states, agent.ball(0.02), method=method)
        proven = certified_actions(agent.policy, states, agent.ball(0.02), method=method, sound=True)
        assert (proven <= plain).all()
        assert proven.any()


def test_no_states_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got no states"):
        certified_actions(controller().policy, torch.zeros(0, 4), scale.ball(0.1, STD))
