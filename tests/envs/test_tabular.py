"""The theory of SA-MDP on small random problems, exactly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from robustsuite.envs.tabular import TabularMDP
from robustsuite.errors import InvalidInput

SEEDS = range(8)


def random_problem(seed: int) -> tuple[TabularMDP, np.ndarray]:
    stream = np.random.default_rng(seed)
    states, actions = 4, 3
    shown = (stream.random((states, states)) < 0.4) | np.eye(states, dtype=bool)
    mdp = TabularMDP(
        transitions=stream.dirichlet(np.ones(states), size=(states, actions)),
        rewards=stream.normal(size=(states, actions, states)),
        shown=shown,
        gamma=0.8,
    )
    return mdp, stream.dirichlet(np.full(actions, 0.5), size=states)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_attacked_operator_is_a_contraction(seed: int) -> None:
    mdp, policy = random_problem(seed)
    one, two = np.random.default_rng(seed).normal(size=(2, 4)) * 10
    moved = np.abs(mdp.attacked_operator(policy, one) - mdp.attacked_operator(policy, two)).max()
    assert moved <= mdp.gamma * np.abs(one - two).max() + 1e-12


@pytest.mark.parametrize("seed", SEEDS)
def test_attacked_values_are_below_natural_ones_and_within_the_gap_bound(seed: int) -> None:
    mdp, policy = random_problem(seed)
    gap = mdp.natural_values(policy) - mdp.attacked_values(policy)
    assert (gap >= -1e-9).all()
    assert gap.max() <= mdp.gap_bound(policy) + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fixed_point_is_the_worst_of_all_adversaries(seed: int) -> None:
    mdp, policy = random_problem(seed)
    choices = [np.flatnonzero(row) for row in mdp.shown]
    every = [mdp.values_under(policy, np.array(choice)) for choice in itertools.product(*choices)]
    np.testing.assert_allclose(np.min(every, axis=0), mdp.attacked_values(policy), atol=1e-9)


def test_nothing_to_show_but_the_truth_changes_nothing() -> None:
    mdp, policy = random_problem(0)
    honest = TabularMDP(mdp.transitions, mdp.rewards, np.eye(4, dtype=bool), mdp.gamma)
    np.testing.assert_allclose(honest.attacked_values(policy), honest.natural_values(policy), atol=1e-9)
    assert honest.gap_bound(policy) == 0


def test_wrong_problems_are_refused() -> None:
    mdp, _ = random_problem(0)
    with pytest.raises(InvalidInput, match="no distributions"):
        TabularMDP(mdp.transitions * 2, mdp.rewards, mdp.shown, 0.9)
    with pytest.raises(InvalidInput, match=r"gamma is 1.0; expected a number in \[0, 1\)"):
        TabularMDP(mdp.transitions, mdp.rewards, mdp.shown, 1.0)
    with pytest.raises(InvalidInput, match="expected"):
        TabularMDP(mdp.transitions, mdp.rewards[:2], mdp.shown, 0.9)
