"""The observation wrapper: a legal environment that lies about the state only."""

from __future__ import annotations

from contextlib import closing

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from robustsuite.envs import scale
from robustsuite.envs.attacks import Adversary, RandomNoise
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.threat.observation_attack import ObservationAttack
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf

from .cases import ADVERSARIES, STD, controller, q_agent


def attacked(adversary: Adversary, *, eps: float = 0.2, seed: int = 0) -> ObservationAttack:
    return ObservationAttack(
        gym.make("CartPole-v1"),
        adversary=adversary,
        perturbation=scale.ball(eps, STD),
        policy=controller().policy,
        seed=seed,
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("adversary", ADVERSARIES, ids=str)
def test_passes_the_checkers(adversary: Adversary) -> None:
    check_env(attacked(adversary), skip_render_check=True)
    check_env_sb3(attacked(adversary))


def test_acrobot_states_outside_the_true_space_are_allowed() -> None:
    q = q_agent((6, 8, 3), "Acrobot-v1").policy
    env = ObservationAttack(
        gym.make("Acrobot-v1"),
        adversary=RandomNoise(),
        perturbation=scale.ball(0.5, scale.published("Acrobot-v1")),
        policy=q,
    )
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert not env.env.observation_space.contains(observation)


@pytest.mark.parametrize("adversary", ADVERSARIES, ids=str)
def test_shows_a_state_in_the_ball_and_moves_from_the_true_one(adversary: Adversary) -> None:
    env, true = attacked(adversary), gym.make("CartPole-v1")
    shown, info = env.reset(seed=5)
    expected, _ = true.reset(seed=5)
    for action in (0, 1, 1, 0, 1):
        np.testing.assert_array_equal(info["true_observation"], expected)
        np.testing.assert_array_equal(env.true_observation, expected)
        assert np.max(np.abs(shown - expected) / np.array(STD)) <= 0.2 + 1e-5
        shown, reward, *_, info = env.step(action)
        expected, true_reward, *_ = true.step(action)
        assert reward == true_reward


def test_same_seed_same_episode() -> None:
    def play(seed: int) -> list[float]:
        env = attacked(RandomNoise(), seed=seed)
        shown = [env.reset(seed=1)[0], *(env.step(action)[0] for action in (0, 1, 0))]
        return [float(value) for value in np.concatenate(shown)]

    assert play(0) == play(0)
    assert play(0) != play(1)


def test_a_vectorised_rollout_plays_the_same_episodes_as_the_wrapper() -> None:
    """Natural episodes and episodes under a deterministic adversary agree step by step."""
    agent = controller()
    with closing(lockstep(agent.env, 2)) as envs:
        together = rollout(agent, envs, episodes=2, seed=3)
    for index, seed in enumerate((3, 4)):
        env = gym.make("CartPole-v1")
        observation, _ = env.reset(seed=seed)
        states = []
        for _ in range(20):
            states.append(observation)
            action = int(agent.policy.act(torch.from_numpy(observation)[None])[0])
            observation, *_ = env.step(action)
        np.testing.assert_array_equal(together.states[together.episode == index][:20], np.stack(states))


def test_wrong_environments_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a Box of vectors"):
        ObservationAttack(
            gym.make("FrozenLake-v1"),
            adversary=RandomNoise(),
            perturbation=Linf(0.1),
            policy=controller().policy,
        )
    with pytest.raises(InvalidInput, match="clip"):
        ObservationAttack(
            gym.make("CartPole-v1"),
            adversary=RandomNoise(),
            perturbation=Linf(0.1, clip=(0, 1)),
            policy=controller().policy,
        )
