"""DQN and its robust kin are stable-baselines3 algorithms: tiny real runs, and what they must share with their parent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from robustsuite.envs.algorithms.value_based import ValueBased
from robustsuite.errors import TrainingDiverged
from robustsuite.perturbations import Linf
from robustsuite.training import Linear

from .cases import ALGORITHMS, Algorithm

pytestmark = pytest.mark.parametrize("case", ALGORITHMS, ids=lambda case: case.name)


def weights(agent: DQN) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in agent.policy.parameters()])


def plain(**changes: Any) -> DQN:
    settings: dict[str, Any] = {
        "learning_starts": 32,
        "train_freq": 8,
        "gradient_steps": 2,
        "batch_size": 16,
        "buffer_size": 1000,
        "policy_kwargs": {"net_arch": [16]},
        "seed": 0,
        "device": "cpu",
    }
    return DQN("MlpPolicy", "CartPole-v1", **(settings | changes))


def test_kappa_zero_equals_the_parent_to_the_bit(case: Algorithm) -> None:
    ours = case.build(robustness=replace(case.robustness, kappa=0.0)).learn(400)
    assert torch.equal(weights(ours), weights(plain().learn(400)))


def test_before_the_ramp_it_equals_the_parent_to_the_bit(case: Algorithm) -> None:
    def until_200(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
        return bool(inner["self"].num_timesteps < 200)

    late = replace(case.robustness, ramp=Linear(begin=270, length=30))
    ours = case.build(robustness=late).learn(300, callback=until_200)
    assert torch.equal(weights(ours), weights(plain().learn(300, callback=until_200)))


def test_the_regulariser_changes_what_is_learned(case: Algorithm) -> None:
    assert not torch.equal(weights(case.build().learn(400)), weights(plain().learn(400)))


def test_same_seed_same_weights(case: Algorithm) -> None:
    assert torch.equal(weights(case.build().learn(300)), weights(case.build().learn(300)))


def test_learns_on_several_environments_with_callbacks(case: Algorithm, tmp_path: Path) -> None:
    class Count(BaseCallback):
        steps = 0

        def _on_step(self) -> bool:
            self.steps += 1
            return True

    count = Count()
    evaluation = EvalCallback(
        make_vec_env("CartPole-v1", 1), eval_freq=40, n_eval_episodes=1, verbose=0, log_path=str(tmp_path)
    )
    case.build(make_vec_env("CartPole-v1", 4, seed=0)).learn(400, callback=[count, evaluation])
    assert count.steps == 104  # 13 rounds of 8 steps on 4 environments
    assert evaluation.best_mean_reward > 0


def test_learns_on_normalised_observations(case: Algorithm) -> None:
    env = VecNormalize(make_vec_env("CartPole-v1", 2, seed=0))
    case.build(env, robustness=replace(case.robustness, perturbation=Linf(0.1))).learn(300)


def test_saves_and_loads_with_its_settings(case: Algorithm, tmp_path: Path) -> None:
    agent = case.build().learn(300)
    agent.save(tmp_path / "agent.zip")
    again = case.make.load(tmp_path / "agent.zip", env=gym.make("CartPole-v1"), device="cpu")
    assert again.robustness == case.robustness
    assert torch.equal(weights(agent), weights(again))
    observation = np.zeros(4, dtype=np.float32)
    assert (
        agent.predict(observation, deterministic=True)[0] == again.predict(observation, deterministic=True)[0]
    )
    again.learn(100, reset_num_timesteps=False)


def test_a_loss_that_is_not_finite_stops_with_step_and_term(case: Algorithm) -> None:
    agent = case.build(robustness=replace(case.robustness, ramp=Linear(begin=0.0, length=20)))
    agent.learn(200)
    with torch.no_grad():
        next(agent.q_net.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"TD loss is nan at timestep 200"):
        agent.train(1, 16)


def test_what_is_penalised_gets_smaller(case: Algorithm) -> None:
    def penalty(agent: ValueBased) -> float:
        np.random.seed(0)
        batch = agent._batch(agent._sample(256))
        return float(agent.worst(batch, strong.perturbation.around(batch.states), 1.0).detach())

    strong = replace(case.robustness, kappa=1.0, ramp=Linear(begin=0.0, length=200))
    settings = {"learning_rate": 1e-3, "gradient_steps": 4}
    robust = case.build(robustness=strong, **settings).learn(400)
    ordinary = case.build(robustness=replace(strong, kappa=0.0), **settings).learn(400)
    assert penalty(robust) < penalty(ordinary)
