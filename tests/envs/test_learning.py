"""What every algorithm has from `Robust`: a ramp by time steps, one thread, statistics that are kept, NaN that is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize, unwrap_vec_normalize

from robustsuite.envs.policies import sb3
from robustsuite.envs.training import resume
from robustsuite.envs.training.robustness import Robustness
from robustsuite.errors import CheckpointError, InvalidInput, TrainingDiverged
from robustsuite.perturbations import Linf
from robustsuite.training import Linear, SmoothedRamp

from .cases import DISCRETE, Algorithm

cases = pytest.mark.parametrize("case", DISCRETE, ids=lambda case: case.name)
_CASE = DISCRETE[0]


class _Paying(gym.RewardWrapper[Any, Any]):
    """Pays NaN from the 100th step on."""

    steps = 0

    def reward(self, reward: Any) -> float:
        self.steps += 1
        return float("nan") if self.steps > 100 else float(reward)


@cases
@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_rewards_that_are_no_numbers_are_found(case: Algorithm, kappa: float) -> None:
    robustness = replace(case.robustness, kappa=kappa, ramp=Linear(begin=10_000, length=10))
    agent = case.build(_Paying(gym.make("CartPole-v1")), robustness=robustness)
    with pytest.raises(TrainingDiverged, match="TD loss is nan at timestep"):
        agent.learn(300)


def test_the_ramp_counts_time_steps_and_never_falls_back() -> None:
    shares: list[float] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            assert torch.get_num_threads() == 1
            shares.append(self.model.radius_share)  # type: ignore[attr-defined]
            return True

    robustness = replace(_CASE.robustness, ramp=Linear(begin=50, length=100))
    agent = _CASE.build(robustness=robustness, learning_starts=1000)
    for _ in range(3):
        agent.learn(48, callback=Watch(), reset_num_timesteps=False)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx((144 - 50) / 100)
    agent.learn(8)
    assert agent.radius_share == 0


def test_an_early_ramp_takes_as_long_as_planned() -> None:
    agent = _CASE.build(robustness=replace(_CASE.robustness, ramp=Linear(begin=100, length=40)))
    agent.learn(24, callback=lambda inner, outer: inner["self"].begin_ramp() or True)
    assert agent.ramp_start == 1
    assert agent.radius_share == pytest.approx((24 - 1) / 40)


@pytest.mark.parametrize(
    ("ramp", "message"),
    [
        (Linear(begin=0.3, length=0.5), "count time steps"),
        (Linear(start=0.5, length=100), "ramp goes from 0.5"),
        (Linear(end=0.5, length=100), "to 0.5 at step 100"),
        (100, "ramp is 100"),
    ],
)
def test_ramps_that_do_not_go_from_0_to_1_are_refused(ramp: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Robustness(ramp=ramp)


def test_a_ramp_may_end_after_the_training() -> None:
    assert Robustness(ramp=SmoothedRamp(begin=10, length=1e7)).ramp(1e9) == 1


def test_statistics_of_observations_are_saved_and_put_back(tmp_path: Path) -> None:
    def made() -> VecNormalize:
        return VecNormalize(make_vec_env("CartPole-v1", 2, seed=0), norm_reward=False)

    robustness = replace(_CASE.robustness, perturbation=Linf(0.1))
    agent = _CASE.build(made(), robustness=robustness).learn(100)
    wanted = sb3.normalizer_of(agent)
    assert wanted is not None
    agent.save(tmp_path / "agent")
    for env in (None, "CartPole-v1", make_vec_env("CartPole-v1", 3), made()):
        again = _CASE.make.load(tmp_path / "agent", env=env, device="cpu")
        assert sb3.normalizer_of(again) == wanted
        again.save(tmp_path / "again")
        assert sb3.normalizer_of(_CASE.make.load(tmp_path / "again", device="cpu")) == wanted

    saved = resume.capture(agent)
    fresh = _CASE.build(made(), robustness=robustness)
    resume.restore(fresh, saved)
    assert sb3.normalizer_of(fresh) == wanted
    wrapper, own = unwrap_vec_normalize(fresh.env), unwrap_vec_normalize(agent.env)
    assert wrapper is not None
    assert own is not None
    assert wrapper.ret_rms.mean == own.ret_rms.mean
    with pytest.raises(CheckpointError, match="is not in a VecNormalize"):
        resume.restore(_CASE.build(robustness=robustness), saved)


class _Goals(gym.Env[Any, Any]):
    """Two parts of observations and two actions."""

    observation_space = spaces.Dict({"position": spaces.Box(-1, 1, (3,)), "goal": spaces.Box(-1, 1, (2,))})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), float(action), self.np_random.random() < 0.1, False, {}


def test_a_dict_of_observations_is_learned_from_and_saved(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"learning_starts": 16, "buffer_size": 100, "batch_size": 8, "device": "cpu"}
    agent = _CASE.make("MultiInputPolicy", _Goals(), **settings).learn(60)
    agent.save(tmp_path / "agent")
    again = _CASE.make.load(tmp_path / "agent", env=_Goals(), device="cpu")
    assert again.observation_space == agent.observation_space
    agent.save_replay_buffer(tmp_path / "replay")
    again.load_replay_buffer(tmp_path / "replay")
    for name, array in agent.replay_buffer.observations.items():
        np.testing.assert_array_equal(again.replay_buffer.observations[name], array)
    for policy in ("MlpPolicy", "MultiInputPolicy"):
        with pytest.raises(InvalidInput, match="(?i)dict"):
            _CASE.make(
                policy, _Goals(), robustness=replace(_CASE.robustness, perturbation=Linf(0.1)), **settings
            )
    with pytest.raises(InvalidInput, match="no Dict"):
        _CASE.make("MultiInputPolicy", "CartPole-v1", device="cpu")
