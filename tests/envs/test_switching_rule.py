"""Searched switching rules: found on episodes of their own, and stronger than attacks that do not look ahead."""

from __future__ import annotations

from contextlib import closing

import pytest
import torch

from robustsuite.envs.attacks import Adversary, PGDOnQ, SwitchingRule, SwitchingRuleSearch
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.errors import InvalidInput

from .cases import controller, q_agent, shown

EPS = 0.25


def left(adversary: Adversary) -> float:
    agent = controller()
    with closing(lockstep(agent.env, 5)) as env:
        played = rollout(agent, env, episodes=5, seed=900, adversary=adversary, perturbation=agent.ball(EPS))
    return float(played.returns.mean())


@pytest.mark.slow
def test_a_searched_rule_breaks_what_pgd_leaves_standing() -> None:
    agent = controller()
    rule = SwitchingRuleSearch(budget=24, generation=12, episodes=3, finalists=2, steps=3).prepare(
        agent, agent.ball(EPS), seed=0
    )
    assert left(rule) < left(PGDOnQ(steps=3))


def test_a_search_repeats_itself() -> None:
    agent = q_agent((4, 8, 2))  # falls at once
    search = SwitchingRuleSearch(budget=4, generation=2, episodes=1, finalists=1, steps=2)
    one, two = (search.prepare(agent, agent.ball(0.1), seed=3) for _ in range(2))
    assert one == two
    assert len(one.weights) == 1


def test_what_is_out_of_reach_is_shown_as_it_is() -> None:
    agent = controller()
    states = torch.tensor([[0.0, 0.0, 0.15, 1.0], [0.0, 0.0, 0.001, 0.0]])  # far from, and near to switching
    rule = SwitchingRule(weights=((0.0, 0.0, -1.0, 0.0),))
    seen = shown(rule, agent.policy, states, agent.ball(0.05))
    assert torch.equal(seen[0], states[0])
    assert agent.policy.act(seen).tolist() == [1, 0]


def test_rules_of_other_agents_are_refused() -> None:
    agent = controller()
    with pytest.raises(InvalidInput, match=r"2 row\(s\) and the agent 2 actions"):
        shown(SwitchingRule(weights=((0.0,) * 4,) * 2), agent.policy, torch.zeros(1, 4), agent.ball(0.1))
    with pytest.raises(InvalidInput, match="weighs 3 coordinates"):
        shown(SwitchingRule(weights=((0.0,) * 3,)), agent.policy, torch.zeros(1, 4), agent.ball(0.1))
    with pytest.raises(InvalidInput, match="rows of lengths"):
        SwitchingRule(weights=((0.0,), (0.0, 1.0)))
