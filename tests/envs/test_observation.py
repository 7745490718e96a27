"""The observation wrapper: a legal environment that lies about the state only."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from robustsuite.envs import scale
from robustsuite.envs.attacks import (
    Adversary,
    MaximalActionDifference,
    PGDOnQ,
    RandomNoise,
    TowardAction,
)
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import Agent, NatureCNN, QFunction
from robustsuite.envs.preprocessing import Keys, Normalizer, Pixels
from robustsuite.envs.threat.observation_attack import ObservationAttack, VecObservationAttack
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf

from .cases import FOES, STD, Foe, controller, q_agent


def attacked(adversary: Adversary, *, eps: float = 0.2, seed: int = 0) -> ObservationAttack:
    return ObservationAttack(
        gym.make("CartPole-v1"),
        adversary=adversary,
        perturbation=scale.ball(eps, STD),
        agent=controller(),
        seed=seed,
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("foe", FOES, ids=str)
def test_passes_the_checkers(foe: Foe) -> None:
    agent = foe.agent()

    def made() -> ObservationAttack:
        return ObservationAttack(
            gym.make(agent.env),
            adversary=foe.adversary,
            perturbation=agent.ball(0.2),
            agent=agent,
        )

    check_env(made(), skip_render_check=True)
    check_env_sb3(made())


def test_acrobot_states_outside_the_true_space_are_allowed() -> None:
    agent = q_agent((6, 8, 3), "Acrobot-v1")
    env = ObservationAttack(
        gym.make("Acrobot-v1"),
        adversary=RandomNoise(),
        perturbation=scale.ball(0.5, scale.published("Acrobot-v1")),
        agent=agent,
    )
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert not env.env.observation_space.contains(observation)


@pytest.mark.parametrize("adversary", [RandomNoise(), PGDOnQ(steps=3), TowardAction(steps=3)], ids=str)
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
    with pytest.raises(InvalidInput, match="expected a Box of vectors or images"):
        ObservationAttack(
            gym.make("FrozenLake-v1"),
            adversary=RandomNoise(),
            perturbation=Linf(0.1),
            agent=controller(),
        )
    with pytest.raises(InvalidInput, match=r"4 features|shape"):
        ObservationAttack(
            gym.make("CartPole-v1"),
            adversary=RandomNoise(),
            perturbation=Linf((0.1, 0.1)),
            agent=controller(),
        )


class Squares(gym.Env[Any, Any]):
    """Images of noise, 36 pixels on a side."""

    observation_space = gym.spaces.Box(0, 255, (1, 36, 36), dtype=np.uint8)
    action_space = gym.spaces.Discrete(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
        super().reset(seed=seed)
        return self.image(), {}

    def image(self) -> npt.NDArray[np.uint8]:
        return self.np_random.integers(0, 255, (1, 36, 36), dtype=np.uint8, endpoint=True)

    def step(self, action: int) -> tuple[npt.NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        return self.image(), float(action), False, False, {}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_images_are_attacked_inside_their_range() -> None:
    policy = QFunction(NatureCNN(actions=3, side=36).build(), 3)
    agent = Agent(env="Squares", policy=policy, preprocessing=Pixels())
    env = ObservationAttack(
        Squares(), adversary=PGDOnQ(steps=2), perturbation=scale.pixels(8 / 255), agent=agent
    )
    seen, info = env.reset(seed=0)
    true = info["true_observation"]
    assert env.observation_space.contains(seen)
    assert (seen.min(), seen.max()) >= (0, 0)
    assert seen.max() <= 1
    assert 0 < np.abs(seen - true).max() <= 8 / 255 + 1e-6
    check_env(env, skip_render_check=True)


def test_the_attack_stands_behind_the_statistics() -> None:
    normalizer = Normalizer(mean=(1.0, 0.0, 0.0, 0.0), scale=(0.1, 1.0, 1.0, 10.0), limit=5.0)
    agent = Agent(env="CartPole-v1", policy=controller().policy, preprocessing=normalizer)
    env = ObservationAttack(
        gym.make("CartPole-v1"), adversary=RandomNoise(), perturbation=agent.ball(0.3), agent=agent
    )
    seen, _ = env.reset(seed=0)
    raw, _ = gym.make("CartPole-v1").reset(seed=0)
    true = normalizer(raw[None], device="cpu")[0].numpy()
    np.testing.assert_array_equal(env.true_observation, true)
    assert true[0] == -5  # beyond the limit, which stands before the attack
    assert 0 < np.abs(seen - true).max() <= 0.3 + 1e-6
    # The same ball, in the observation's own units.
    ball = scale.normalised(0.3, normalizer).in_input_units()
    assert ball.eps == pytest.approx((0.03, 0.3, 0.3, 3.0))


def test_parts_of_a_dict_are_attacked_but_goals() -> None:
    keys = Keys(names=(("observation", 2), ("desired_goal", 1)))
    assert scale.parts(0.1, keys) == Linf((0.1, 0.1, 0.0))
    assert scale.parts({"desired_goal": 0.2}, keys) == Linf((0.0, 0.0, 0.2))
    with pytest.raises(InvalidInput, match="names the part 'goal'"):
        scale.parts({"goal": 0.2}, keys)


def test_many_environments_side_by_side_behind_their_statistics() -> None:
    agent = Agent(env="CartPole-v1", policy=controller().policy)
    inside = VecNormalize(make_vec_env("CartPole-v1", n_envs=3, seed=0))
    env = VecObservationAttack(
        inside, adversary=MaximalActionDifference(steps=3), perturbation=agent.ball(0.1), agent=agent
    )
    seen: Any = env.reset()
    ended = 0
    for _ in range(60):
        np.testing.assert_allclose(seen, env.true_observations, atol=0.1 + 1e-5)
        seen, _, dones, infos = env.step(np.ones(3, dtype=np.int64))
        for done, info in zip(dones, infos, strict=True):
            ended += int(done)
            assert ("terminal_observation" in info) == done
    assert ended > 3
    PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, device="cpu").learn(24)
    own = Agent(
        env="CartPole-v1",
        policy=agent.policy,
        preprocessing=Normalizer(mean=(0.0,) * 4, scale=(1.0,) * 4),
    )
    with pytest.raises(InvalidInput, match="expected one of them"):
        VecObservationAttack(inside, adversary=RandomNoise(), perturbation=own.ball(0.1), agent=own)
