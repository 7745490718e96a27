"""Agents on disk: exact, natural for users of stable-baselines3, and a stranger's file runs no code."""

from __future__ import annotations

import base64
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor, nn

from robustsuite import Linf
from robustsuite.envs.algorithms.sa_dqn import SADQN
from robustsuite.envs.training.learning import FallingRate, QLearning
from robustsuite.envs.training.robustness import Robustness
from robustsuite.errors import CheckpointError, InvalidInput, RobustsuiteError
from robustsuite.runs import checkpoints

from .cases import DISCRETE

_CASE = DISCRETE[0]


class _Images(gym.Env[Any, Any]):
    """Images of 8 bits and two actions."""

    observation_space = spaces.Box(0, 255, (1, 36, 36), dtype=np.uint8)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros((1, 36, 36), dtype=np.uint8), {}

    def step(self, action: Any) -> Any:
        return np.full((1, 36, 36), 7, dtype=np.uint8), 1.0, False, False, {}


def _state(agent: DQN) -> dict[str, Tensor]:
    optimizer = checkpoints.flatten_optimizer(agent.policy.optimizer).tensors
    return {**agent.policy.state_dict(), **{f"optimizer/{name}": value for name, value in optimizer.items()}}


def _same(one: DQN, other: DQN) -> None:
    a, b = _state(one), _state(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_every_setting_comes_back(tmp_path: Path) -> None:
    changed: dict[str, Any] = {
        "learning_rate": FallingRate(1e-3, 2.0),
        "gamma": 0.7,
        "tau": 0.3,
        "train_freq": (3, "step"),
        "target_update_interval": 17,
        "exploration_fraction": 0.4,
        "exploration_initial_eps": 0.9,
        "exploration_final_eps": 0.2,
        "max_grad_norm": 3.0,
        "n_steps": 2,
        "stats_window_size": 7,
        "policy_kwargs": {
            "net_arch": [8, 4],
            "activation_fn": nn.Tanh,
            "features_extractor_class": FlattenExtractor,
            "optimizer_class": torch.optim.RMSprop,
            "optimizer_kwargs": {"alpha": 0.9},
        },
    }
    agent = _CASE.build(**changed).learn(120)
    agent.save(tmp_path / "agent")
    again = SADQN.load(tmp_path / "agent", env="CartPole-v1", device="cpu")
    _same(agent, again)
    assert again.robustness == agent.robustness
    assert again.policy_kwargs == agent.policy_kwargs
    for name in (
        *changed,
        "num_timesteps",
        "_n_updates",
        "exploration_rate",
        "ramp_start",
        "buffer_size",
        "seed",
    ):
        if name not in ("policy_kwargs", "stats_window_size"):
            assert getattr(again, name) == getattr(agent, name), name
    assert again._stats_window_size == 7
    assert again.observation_space == agent.observation_space
    assert again.action_space == agent.action_space
    again.learn(60, reset_num_timesteps=False)
    assert again.num_timesteps >= 180


def test_an_agent_alone_predicts(tmp_path: Path) -> None:
    agent = _CASE.build().learn(60)
    agent.save(str(tmp_path / "agent.v1"))
    again = SADQN.load(tmp_path / "agent.v1", device="cpu")
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert (agent.predict(x, deterministic=True)[0] == again.predict(x, deterministic=True)[0]).all()


def test_images_come_back(tmp_path: Path) -> None:
    robustness = Robustness(perturbation=Linf(1 / 255), kappa=0.1)
    settings: dict[str, Any] = {"buffer_size": 50, "device": "cpu", "seed": 0, "learning_starts": 1000}
    agent = SADQN("CnnPolicy", _Images(), robustness=robustness, **settings).learn(5)
    agent.save(tmp_path / "agent")
    again = SADQN.load(tmp_path / "agent", env=_Images(), device="cpu")
    _same(agent, again)
    assert again.observation_space == agent.observation_space
    assert again._input_scale == 255.0


def test_callbacks_of_the_parent_save_agents_and_replay(tmp_path: Path) -> None:
    agent = _CASE.build()
    agent.learn(100, callback=CheckpointCallback(64, str(tmp_path), save_replay_buffer=True))
    [file] = tmp_path.glob("*_steps.zip")
    [replay] = tmp_path.glob("*replay_buffer*.pkl")
    again = SADQN.load(file, env="CartPole-v1", device="cpu")
    again.load_replay_buffer(replay)
    assert again.replay_buffer is not None
    assert agent.replay_buffer is not None
    assert again.replay_buffer.pos > 50
    np.testing.assert_array_equal(
        again.replay_buffer.observations[:50], agent.replay_buffer.observations[:50]
    )


def test_parameters_alone_are_taken_from_a_file(tmp_path: Path) -> None:
    agent, other = _CASE.build().learn(60), _CASE.build(seed=1)
    agent.save(tmp_path / "agent")
    other.set_parameters(tmp_path / "agent")
    _same(agent, other)
    DQN.save(agent, tmp_path / "theirs")  # stable-baselines3's own form: its weights are no pickle
    fresh = _CASE.build(seed=2)
    fresh.set_parameters(tmp_path / "theirs")
    _same(agent, fresh)


def test_agents_of_recipes_are_saved(tmp_path: Path) -> None:
    learning = QLearning(timesteps=100, environments=2, hidden=(8,), collect=50)
    agent = learning.build("CartPole-v1", robustness=_CASE.robustness, seed=0)
    agent.save(tmp_path / "agent")
    assert SADQN.load(tmp_path / "agent").learning_rate == FallingRate(2e-3)


def test_settings_that_json_cannot_hold_are_left_out_by_name(tmp_path: Path) -> None:
    agent = _CASE.build(learning_rate=lambda remaining: 1e-3 * remaining)
    with pytest.raises(InvalidInput, match=r"learning_rate cannot be saved .*exclude=\['learning_rate'\]"):
        agent.save(tmp_path / "agent")
    assert not list(tmp_path.iterdir())
    agent.save(tmp_path / "agent", exclude=["learning_rate"])
    with pytest.raises(InvalidInput, match=r"saved without learning_rate; pass it"):
        SADQN.load(tmp_path / "agent")
    _same(agent, SADQN.load(tmp_path / "agent", learning_rate=1e-3))
    with pytest.raises(InvalidInput, match="include is given"):
        agent.save(tmp_path / "agent", include=["replay_buffer"])
    with pytest.raises(InvalidInput, match="exclude names 'gamma'"):
        agent.save(tmp_path / "agent", exclude=["gamma"])


class _Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self._target,)


def _archive(path: Path, target: Path) -> None:
    """Write an archive of stable-baselines3 whose first setting is a pickle with code in it."""
    agent = DQN("MlpPolicy", "CartPole-v1", buffer_size=10, device="cpu")
    agent.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(parts["data"])
    bad = base64.b64encode(pickle.dumps(_Evil(target))).decode()
    data["policy_class"] = {":type:": "x", ":serialized:": bad}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"data": json.dumps(data).encode()}).items():
            archive.writestr(name, content)


def test_a_stranger_s_file_runs_no_code(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    _archive(tmp_path / "stranger.zip", target)
    (tmp_path / "replay.pkl").write_bytes(pickle.dumps(_Evil(target)))
    (tmp_path / "odd").write_bytes(
        b"junk" + (tmp_path / "stranger.zip").read_bytes()
    )  # zip ends count, not its start
    (tmp_path / "bare").write_bytes(pickle.dumps(_Evil(target), protocol=0))
    agent = _CASE.build()
    for name in ("stranger.zip", "stranger", "odd", "replay.pkl", "bare"):
        with pytest.raises(CheckpointError) as caught:
            SADQN.load(tmp_path / name)
        assert "\n" not in str(caught.value)
        if name not in ("replay.pkl", "bare"):
            assert "SADQN.load(path, trust=True)" in str(caught.value)
    for name in ("replay.pkl", "replay", "bare"):
        with pytest.raises(CheckpointError):
            agent.load_replay_buffer(tmp_path / name)
    with pytest.raises(CheckpointError, match="of another agent"):
        agent.set_parameters(tmp_path / "stranger.zip")
    assert not target.exists()
    with pytest.raises(Exception):  # noqa: B017, PT011  the file was made to run its code, and does so where it is trusted
        SADQN.load(tmp_path / "stranger.zip", trust=True)
    assert target.exists()


def test_archives_of_the_parent_are_opened_where_they_are_trusted(tmp_path: Path) -> None:
    agent = _CASE.build().learn(60)
    DQN.save(agent, tmp_path / "theirs")
    with pytest.raises(CheckpointError, match="trust=True"):
        SADQN.load(tmp_path / "theirs.zip")
    again = SADQN.load(tmp_path / "theirs", env="CartPole-v1", device="cpu", trust=True)
    _same(agent, again)
    assert again.robustness == agent.robustness


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "nothing"}, "no agent at"),
        ({"path": 3}, "path is 3"),
        ({"path": "other"}, "no part 'settings'"),
        ({"path": "cut"}, "is damaged"),
        ({"env": "Acrobot-v1"}, "Observation spaces do not match.*that the agent was trained on"),
        ({"env": "Nope-v0"}, "environment 'Nope-v0' cannot be made"),
        ({"env": 3}, "env is 3; expected a gymnasium id"),
        ({"gama": 0.9}, "load got 'gama'; expected settings"),
        ({"gamma": 2.0}, "gamma is 2.0; expected a number in"),
        ({"custom_objects": {"lr_schedule": 0.1}}, "load got 'lr_schedule'"),
    ],
    ids=str,
)
def test_wrong_files_and_settings(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    agent = _CASE.build()
    agent.save(tmp_path / "agent")
    checkpoints.save(tmp_path / "other", tensors={}, state={"parts": []})
    (tmp_path / "cut").write_bytes((tmp_path / "agent.safetensors").read_bytes()[:-9])
    path = change.pop("path", "agent")
    with pytest.raises(RobustsuiteError, match=message):
        SADQN.load(tmp_path / path if isinstance(path, str) else path, **change)


@pytest.mark.parametrize(
    ("policy", "env", "settings", "message"),
    [
        ("MlpPolicy", "Pendulum-v1", {}, r"actions are Box of shape \(1,\); expected Discrete"),
        ("MlpPolicy", "FrozenLake-v1", {}, "observations are Discrete"),
        ("CnnPolicy", "CartPole-v1", {}, "policy is CnnPolicy .*take MlpPolicy for vectors"),
        ("MlpPolicy", "Nope-v0", {}, "environment 'Nope-v0' cannot be made"),
        ("MlpPolicy", 3, {}, "env is 3"),
        ("LstmPolicy", "CartPole-v1", {}, "policy is 'LstmPolicy'; expected 'MlpPolicy'"),
        (
            "MlpPolicy",
            "CartPole-v1",
            {"robustness": Linf(0.1)},
            "robustness is a Linf; expected a Robustness",
        ),
        ("MlpPolicy", "CartPole-v1", {"learning_rate": -1.0}, "learning_rate is -1.0; expected a number > 0"),
        ("MlpPolicy", "CartPole-v1", {"batch_size": 0}, "batch_size is 0"),
        ("MlpPolicy", "CartPole-v1", {"train_freq": 0}, "train_freq is 0"),
        ("MlpPolicy", "CartPole-v1", {"exploration_fraction": 0.0}, "exploration_fraction is 0.0"),
        (
            "MlpPolicy",
            "CartPole-v1",
            {"robustness": Robustness(perturbation=Linf((0.1, 0.1)), kappa=0.1)},
            r"perturbation: eps has shape \(2,\); expected .* the shape of one example, \(4,\)",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_learned_is_refused_before_it_begins(
    policy: Any, env: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        SADQN(policy, env, device="cpu", **settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Robustness(perturbation=0.1), "perturbation is 0.1; expected a threat model"),  # type: ignore[arg-type]
        (lambda: Robustness(perturbation=Linf(0.1).around(torch.zeros(1, 4))), "is a BoxRegion"),  # type: ignore[arg-type]
        (lambda: replace(_CASE.robustness, kappa=float("nan")), "kappa is nan"),
        (lambda: replace(_CASE.robustness, regularizer=None), "regularizer is None"),  # type: ignore[arg-type]
    ],
)
def test_robustness_of_the_wrong_kind(make: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()
