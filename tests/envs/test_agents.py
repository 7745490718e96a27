"""Agents on disk: weights and architecture without pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from robustsuite.envs.policies import MLP, sb3
from robustsuite.envs.policies import agent as agents
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints

from .cases import DISCRETE, controller


def test_round_trip(tmp_path: Path) -> None:
    agents.save(controller(), tmp_path / "agent.safetensors")
    again = agents.load(tmp_path / "agent.safetensors")
    states = torch.randn(10, 4)
    assert (again.env, again.deviations) == ("CartPole-v1", controller().deviations)
    assert torch.equal(again.policy(states), controller().policy(states))


def test_acts_as_the_algorithm_it_was_copied_from() -> None:
    model = DISCRETE[0].build().learn(100)
    agent = sb3.convert(model, "CartPole-v1")
    states = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    actions, _ = model.predict(states, deterministic=True)
    np.testing.assert_array_equal(agent.policy.act(torch.from_numpy(states)).numpy(), actions)
    model.learn(100)
    kept, trained = next(agent.policy.network.parameters()), next(model.q_net.parameters())
    assert not torch.equal(kept, trained)


def test_tanh_networks_are_kept() -> None:
    model = DISCRETE[0].build(policy_kwargs={"net_arch": [8], "activation_fn": torch.nn.Tanh})
    agent = agents.from_checkpoint(sb3.convert(model, "CartPole-v1").checkpoint())
    assert any(isinstance(layer, torch.nn.Tanh) for layer in agent.policy.network.modules())


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    with pytest.raises(CheckpointError, match="no checkpoint"):
        agents.load(path)
    agents.save(controller(), path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="damaged"):
        agents.load(path)
    checkpoints.save(path, tensors={}, state={"kind": "classifier"})
    with pytest.raises(CheckpointError, match=r"kind 'classifier'; expected an agent"):
        agents.load(path)
    checkpoints.save(path, tensors={}, state=controller().checkpoint().state)
    with pytest.raises(CheckpointError, match="does not fit its architecture"):
        agents.load(path)


def test_other_networks_are_refused() -> None:
    with pytest.raises(InvalidInput, match="activation is 'gelu'"):
        MLP(sizes=(4, 8, 2), activation="gelu")
    model = DISCRETE[0].build(policy_kwargs={"net_arch": [8], "activation_fn": torch.nn.GELU})
    with pytest.raises(InvalidInput, match=r"\['GELU'\]"):
        sb3.convert(model, "CartPole-v1")
