"""Prioritised replay against a naive reference, and what it does in learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gymnasium import spaces

from robustsuite.envs import SADQN, Prioritized
from robustsuite.envs.training import resume
from robustsuite.envs.training.replay import PrioritizedReplayBuffer, SumTree
from robustsuite.errors import InvalidInput
from robustsuite.training import Linear

from .cases import DISCRETE

_CASE = DISCRETE[0]
_SHOWN, _TAKEN = spaces.Box(-1, 1, (2,)), spaces.Discrete(2)


def _filled(
    steps: int, *, size: int = 10, environments: int = 2, alpha: float = 0.7
) -> PrioritizedReplayBuffer:
    buffer = PrioritizedReplayBuffer(size, _SHOWN, _TAKEN, device="cpu", n_envs=environments, alpha=alpha)
    for step in range(steps):
        here = np.full((environments, 2), step, dtype=np.float32)
        here[:, 1] = np.arange(environments)
        buffer.add(
            here,
            here + 0.5,
            np.zeros((environments, 1)),
            here[:, 0],
            np.zeros(environments),
            [{}] * environments,
        )
    return buffer


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_sums_are_found_as_in_a_list(count: int) -> None:
    generator = np.random.default_rng(count)
    tree, values = SumTree(count), np.zeros(count)
    for _ in range(5):
        leaves = generator.integers(0, count, 6)
        given = generator.random(6) * (generator.random(6) > 0.3)
        tree.set(leaves, given)
        values[leaves] = given
        np.testing.assert_array_equal(tree[np.arange(count)], values)
        assert tree.total == pytest.approx(values.sum())
        if values.sum() == 0:
            continue
        sums = np.append(generator.random(50) * tree.total * (1 - 1e-9), 0.0)
        naive = np.searchsorted(np.cumsum(values), sums, side="right")
        np.testing.assert_array_equal(tree.find(sums), naive)


def test_draws_and_weights_are_those_of_the_naive_form() -> None:
    buffer, alpha, beta = _filled(8, size=12, environments=2), 0.7, 0.4
    errors = np.random.default_rng(0).normal(size=12)
    buffer.update(np.arange(12), errors)
    priorities = (np.abs(errors) + buffer.floor) ** alpha
    chances = priorities / priorities.sum()
    np.random.seed(0)
    counts, weights = np.zeros(12), np.zeros(12)
    for _ in range(200):
        data = buffer.sample(32, beta=beta)
        naive = (12 * chances[data.places]) ** -beta
        np.testing.assert_allclose(data.weights, naive / naive.max(), rtol=1e-5)
        rows, columns = data.places // 2, data.places % 2
        np.testing.assert_array_equal(data.observations.numpy(), buffer.observations[rows, columns])
        np.testing.assert_array_equal(data.rewards[:, 0].numpy(), buffer.rewards[rows, columns])
        counts += np.bincount(data.places, minlength=12)
    weights = counts / counts.sum()
    np.testing.assert_allclose(weights, chances, atol=0.01)


def test_new_transitions_have_the_largest_priority_and_old_ones_go() -> None:
    buffer = _filled(3, size=8, environments=2)
    np.testing.assert_array_equal(buffer.tree[np.arange(8)], [1, 1, 1, 1, 1, 1, 0, 0])
    buffer.update(np.array([0]), np.array([-31.0]))
    step = np.zeros((2, 2), dtype=np.float32)
    for _ in range(2):
        buffer.add(step, step, np.zeros((2, 1)), np.zeros(2), np.zeros(2), [{}, {}])
    largest = (31.0 + buffer.floor) ** 0.7
    np.testing.assert_allclose(buffer.tree[np.arange(8)], [*[largest] * 2, 1, 1, 1, 1, *[largest] * 2])


def _priorities(agent: Any) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = agent.replay_buffer.tree[np.arange(agent.replay_buffer.pos)]
    return values


def test_learning_sets_priorities_that_are_saved_and_resumed(tmp_path: Path) -> None:
    prioritized = Prioritized(alpha=0.6, beta=Linear(start=0.4, end=1.0, length=300))
    agent = _CASE.build(prioritized=prioritized).learn(200)
    assert len(np.unique(_priorities(agent))) > 20
    agent.save(tmp_path / "agent")
    agent.save_replay_buffer(tmp_path / "replay")
    again = SADQN.load(tmp_path / "agent", env="CartPole-v1", device="cpu")
    assert again.prioritized == prioritized
    again.load_replay_buffer(tmp_path / "replay")
    np.testing.assert_array_equal(_priorities(again), _priorities(agent))

    ends = []
    saved = resume.capture(agent)
    for _ in range(2):
        fresh = _CASE.build(prioritized=prioritized)
        resume.restore(fresh, saved)
        fresh.learn(100, reset_num_timesteps=False)
        ends.append(torch.cat([p.detach().flatten() for p in fresh.policy.parameters()]))
    assert torch.equal(*ends)


def test_uniform_priorities_weigh_nothing() -> None:
    """With alpha 0 all weights are 1, so that the loss is the plain mean."""
    agent = _CASE.build(
        prioritized=Prioritized(alpha=0.0), robustness=replace(_CASE.robustness, kappa=0.0)
    ).learn(64)
    data = agent._sample(16)
    assert (data.weights == 1).all()
    batch = agent._batch(data)
    torch.testing.assert_close(agent._td(batch), agent._td(replace(batch, weights=None)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_steps": 3}, "n_steps is 3 with prioritized replay; expected 1"),
        ({"optimize_memory_usage": True}, "optimize_memory_usage is True"),
        ({"prioritized": 0.5}, "prioritized is 0.5; expected a Prioritized"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _CASE.build(gym.make("CartPole-v1"), **({"prioritized": Prioritized()} | settings))
    with pytest.raises(InvalidInput, match="alpha is 2"):
        Prioritized(alpha=2.0)
