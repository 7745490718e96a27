"""The adversary's own environments: legal ones, the agent's loss as reward, learned by algorithms as they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.env_util import make_vec_env

from robustsuite.envs.attacks import AdversaryTraining, DirectorTraining, LearnedAdversary, adversary_training
from robustsuite.envs.attacks.learned_adversary import placed
from robustsuite.envs.attacks.names import named
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import Agent
from robustsuite.envs.threat import ADVERSARY, DIRECTOR
from robustsuite.envs.threat.adversary_env import Directions, Game, Places, VecGame
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.perturbations import L2, Linf

from .cases import controller, deterministic, gaussian, pendulum, shown


def _pendulum() -> Agent:
    return pendulum(deterministic)


AGENTS = [controller, _pendulum, lambda: pendulum(gaussian)]


def made(name: str, agent: Agent, eps: float = 0.2) -> gym.Env[Any, Any]:
    return gym.make(name, agent=agent, perturbation=agent.ball(eps))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("name", [ADVERSARY, DIRECTOR])
def test_passes_the_checkers(name: str, agent: Callable[[], Agent]) -> None:
    check_env(made(name, agent()).unwrapped, skip_render_check=True)
    check_env_sb3(made(name, agent()))


@pytest.mark.parametrize("agent", [controller, _pendulum])
def test_without_a_move_it_is_the_agent_s_episode_with_the_sign_turned(agent: Callable[[], Agent]) -> None:
    ours = agent()
    with closing(lockstep(ours.env, 1)) as envs:
        natural = rollout(ours, envs, episodes=1, seed=4)
    env, total, steps = made(ADVERSARY, ours), 0.0, 0
    seen, _ = env.reset(seed=4)
    for state in natural.states[:50]:
        np.testing.assert_array_equal(seen, state)
        seen, reward, _, _, info = env.step(np.zeros(len(state), dtype=np.float32))
        assert reward == -info["agent_reward"]
        total, steps = total - float(reward), steps + 1
    assert total == pytest.approx(natural.rewards[:steps].sum())


def test_places_are_those_of_the_region() -> None:
    states = torch.tensor([[0.1, 0.5, 0.95]])
    at = placed(torch.tensor([[-1.0, 0.5, 2.0]]), states, Linf(0.2, clip=(0.0, 1.0)))
    torch.testing.assert_close(at, torch.tensor([[0.0, 0.6, 1.0]]))
    ball = L2(0.2)
    assert ball.around(states).contains(placed(torch.ones(1, 3), states, ball)).all()


@pytest.mark.parametrize("kind", [Places, Directions])
def test_side_by_side_it_is_the_same_game(kind: type[Game]) -> None:
    agent = controller()
    alone = made(ADVERSARY if kind is Places else DIRECTOR, agent)
    plain = make_vec_env(agent.env, n_envs=1, seed=3)
    many = VecGame(plain, kind(agent, agent.ball(0.2)))
    plain.seed(7)
    seen: Any = many.reset()
    np.testing.assert_array_equal(alone.reset(seed=7)[0], seen[0])
    alone.action_space.seed(0)
    for _ in range(5):
        move = alone.action_space.sample()
        one, reward, *_ = alone.step(move)
        seen, rewards, _, _ = many.step(np.asarray([move]))
        np.testing.assert_allclose(one, seen[0], atol=1e-6)
        assert rewards[0] == reward


def test_algorithms_learn_it_as_it_is() -> None:
    env = made(ADVERSARY, controller())
    PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, device="cpu").learn(16)


@pytest.mark.parametrize(
    "training",
    [
        AdversaryTraining(timesteps=1, validations=1, episodes=1),
        DirectorTraining(timesteps=1, validations=1, episodes=1, steps=1),
    ],
    ids=lambda training: str(training.name),
)
def test_training_gives_an_adversary_that_can_be_kept(
    training: AdversaryTraining | DirectorTraining, tmp_path: Path
) -> None:
    agent = _pendulum()
    ball, states = agent.ball(0.2), torch.randn(9, 3)
    adversary = training.prepare(agent, ball, seed=0)
    assert adversary.name == training.name
    adversary_training.save(adversary, tmp_path / "adversary.safetensors")
    again = adversary_training.load(tmp_path / "adversary.safetensors")
    assert again.timesteps == adversary.timesteps
    kind = "learned" if isinstance(adversary, LearnedAdversary) else "director"
    (by_name,) = named((f"{kind}:{tmp_path / 'adversary.safetensors'}",), agent.policy)
    assert by_name.name == adversary.name
    assert torch.equal(shown(adversary, agent.policy, states, ball), shown(again, agent.policy, states, ball))


@pytest.mark.slow
def test_a_longer_training_never_leaves_more() -> None:
    """The controller of CartPole falls to a learned adversary; its returns fall with the time steps."""
    agent = controller()
    ball = agent.ball(0.3)
    left = []
    for timesteps in (1, 20_000, 60_000):
        found = AdversaryTraining(timesteps=timesteps, validations=2).prepare(agent, ball, seed=0)
        with closing(lockstep(agent.env, 10)) as env:
            played = rollout(agent, env, episodes=10, seed=50, adversary=found, perturbation=ball)
        left.append(played.returns.mean())
    assert left[0] >= left[1] >= left[2]
    assert left[2] < 250


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    agent = controller()
    other = LearnedAdversary(adversary=_pendulum(), timesteps=0)
    with pytest.raises(InvalidInput, match=r"of 'Pendulum-v1' does not take states of shape \(4,\)"):
        shown(other, agent.policy, torch.zeros(1, 4), agent.ball(0.1))
    with pytest.raises(InvalidInput, match="expected a threat model"):
        gym.make(ADVERSARY, agent=agent, perturbation=0.1)
    with pytest.raises(CheckpointError):
        adversary_training.load(tmp_path / "nothing.safetensors")
