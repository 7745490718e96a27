"""Atari games: frames, actions and lives as the paper has them."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from robustsuite.envs import RECIPES, environments
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import Agent, NatureCNN, QFunction
from robustsuite.envs.preprocessing import Pixels, atari
from robustsuite.envs.recipes.q_agent import QAgent
from robustsuite.errors import InvalidInput
from robustsuite.runs.run import Run
from robustsuite.training import Linear

pytest.importorskip("ale_py", reason="the games come with ale-py, extra `atari`")
pytest.importorskip("cv2", reason="frames are made with OpenCV, extra `atari`")


@pytest.mark.parametrize("game", atari.GAMES)
def test_shows_one_frame_and_takes_the_first_actions(game: str) -> None:
    env = environments.make(f"robustsuite/{game}-v0")
    frame, _ = env.reset(seed=0)
    assert (frame.shape, frame.dtype) == ((1, 84, 84), np.uint8)
    assert env.observation_space.contains(frame)
    assert env.action_space == gym.spaces.Discrete(atari.GAMES[game].actions)
    env.step(atari.GAMES[game].actions - 1)
    env.close()


def test_the_frame_is_the_crop_of_the_screen() -> None:
    """The columns at the ends are half of zeros, and a bar that lies above the crop is not seen."""
    screen = np.zeros((210, 160, 3), dtype=np.uint8)
    screen[:20] = 255
    screen[20:] = 100
    wrapper = atari.CroppedFrame.__new__(atari.CroppedFrame)
    wrapper._shift = 20
    frame = wrapper.observation(screen)[0]
    assert frame[:, 2:-2].min() == frame[:, 2:-2].max() == 100
    assert frame[:, :2].max() == 0  # four columns of the wide frame are two of the shrunk one
    wrapper._shift = 0
    assert wrapper.observation(screen)[0][0, 40] == 255


def test_in_training_rewards_are_signs_and_lives_are_episodes() -> None:
    env = atari.make("RoadRunner", training=True)
    env.reset(seed=0)
    rewards, generator = set(), np.random.default_rng(0)
    for _ in range(300):
        _, reward, terminated, truncated, _ = env.step(generator.integers(6))
        rewards.add(float(reward))
        if terminated or truncated:
            env.reset()
    assert rewards <= {-1.0, 0.0, 1.0}


def test_an_agent_plays_it() -> None:
    agent = Agent(
        env="robustsuite/Freeway-v0",
        policy=QFunction(NatureCNN(actions=3, dueling=True).build(), 3),
        preprocessing=Pixels(),
    )
    env = environments.lockstep(agent.env, 1, max_episode_steps=20)
    played = rollout(agent, env, episodes=1, seed=0)
    assert played.states.shape == (20, 1, 84, 84)
    assert 0 <= played.states.min() <= played.states.max() <= 1


@pytest.fixture
def short() -> str:
    """Give the id of a game that ends after a few steps."""
    name = "robustsuite-test/Freeway-v0"
    if name not in gym.registry:
        gym.register(
            id=name,
            entry_point="robustsuite.envs.preprocessing.atari:make",
            kwargs={"game": "Freeway"},
            max_episode_steps=4,
        )
    return name


def test_the_recipe_trains_and_measures(short: str) -> None:
    whole = RECIPES["freeway-sadqn"]()
    assert isinstance(whole, QAgent)
    recipe = replace(
        whole,
        env=short,
        learning=replace(
            whole.learning, timesteps=48, buffer_size=64, learning_starts=8, collect=4, batch_size=4
        ),
        robustness=replace(whole.robustness, ramp=Linear(begin=16, length=16)),
        validation=replace(whole.validation, every=16, start=0.0, episodes=1),
        eps=(1 / 255,),
        episodes=1,
    )
    run = Run.scratch()
    recipe.train(run)
    found = recipe.evaluate(run)
    assert {record.norm for record in found} == {"", "Linf"}
    kinds = {(record.metric.name, record.method) for record in found}
    assert {("return", "none"), ("return", "PGD on Q"), ("certified_actions", "IBP")} <= kinds


def test_unknown_games_are_refused() -> None:
    with pytest.raises(InvalidInput, match="game is 'Tetris'"):
        atari.make("Tetris")
