"""What every algorithm shares with its parent in stable-baselines3, and adds to it: tiny real runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from robustsuite.envs.policies import sb3
from robustsuite.errors import TrainingDiverged
from robustsuite.perturbations import Linf
from robustsuite.training import Linear

from .cases import ALGORITHMS, Algorithm

pytestmark = pytest.mark.parametrize("case", ALGORITHMS, ids=lambda case: case.name)


def weights(agent: BaseAlgorithm) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in agent.policy.parameters()])


def until(steps: int) -> Callable[[dict[str, Any], dict[str, Any]], bool]:
    return lambda inner, outer: bool(inner["self"].num_timesteps < steps)


def test_kappa_zero_equals_the_parent_to_the_bit(case: Algorithm) -> None:
    ours = case.build(robustness=replace(case.robustness, kappa=0.0)).learn(200)
    assert torch.equal(weights(ours), weights(case.plain().learn(200)))


def test_before_the_ramp_it_equals_the_parent_to_the_bit(case: Algorithm) -> None:
    late = replace(case.robustness, ramp=Linear(begin=270, length=30))
    ours = case.build(robustness=late).learn(300, callback=until(200))
    assert torch.equal(weights(ours), weights(case.plain().learn(300, callback=until(200))))


def test_the_worst_case_changes_what_is_learned_and_seeds_say_how(case: Algorithm) -> None:
    learned = weights(case.build().learn(200))
    assert torch.equal(learned, weights(case.build().learn(200)))
    assert not torch.equal(learned, weights(case.plain().learn(200)))


def test_learns_on_normalised_observations(case: Algorithm) -> None:
    env = VecNormalize(make_vec_env(case.env, 2, seed=0))
    agent = case.build(env, robustness=replace(case.robustness, perturbation=Linf(0.1))).learn(200)
    assert agent.radius_share > 0
    assert sb3.convert(agent, case.env).preprocessing is not None


def test_saves_and_loads_with_its_settings(case: Algorithm, tmp_path: Path) -> None:
    agent = case.build().learn(200)
    agent.save(tmp_path / "agent")
    again: Any = case.make.load(tmp_path / "agent", env=gym.make(case.env), device="cpu")
    assert again.robustness == case.robustness
    assert torch.equal(weights(agent), weights(again))
    assert again.num_timesteps == agent.num_timesteps
    states = np.random.default_rng(0).normal(size=(8, *agent.observation_space.shape)).astype(np.float32)
    for one, other in zip(
        agent.predict(states, deterministic=True), again.predict(states, deterministic=True), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    share = again.radius_share
    again.learn(80, reset_num_timesteps=False)
    assert again.radius_share >= share


def test_a_weight_that_is_not_finite_stops_with_step_and_term(case: Algorithm) -> None:
    agent = case.build(robustness=replace(case.robustness, ramp=Linear(length=20)))
    agent.learn(80)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"(loss|weight .*|reward) is (nan|not finite) .*timestep"):
        agent.learn(80, reset_num_timesteps=False)
