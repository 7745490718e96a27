"""DQN and its robust kin on several environments, and what is penalised. See test_algorithms for what all share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env

from robustsuite.envs.algorithms.value_based import ValueBased
from robustsuite.training import Linear

from .cases import DISCRETE, Algorithm

pytestmark = pytest.mark.parametrize("case", DISCRETE, ids=lambda case: case.name)


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
