"""A killed training goes on from its checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from robustsuite.envs import RECIPES
from robustsuite.envs.policies import agent as agents
from robustsuite.envs.recipes.q_agent import QAgent
from robustsuite.envs.training import resume
from robustsuite.envs.training.validation import Validation
from robustsuite.errors import CheckpointError
from robustsuite.runs import checkpoints
from robustsuite.runs.run import Run
from robustsuite.training import Linear

from .cases import ALGORITHMS, DISCRETE, Algorithm


def small(name: str) -> QAgent:
    recipe = RECIPES[name]()
    assert isinstance(recipe, QAgent)
    robustness = replace(recipe.robustness, ramp=Linear(begin=640, length=640))
    return replace(
        recipe,
        learning=replace(
            recipe.learning,
            timesteps=1600,
            environments=2,
            hidden=(8,),
            learning_starts=100,
            collect=50,
            updates=5,
        ),
        robustness=robustness,
        validation=Validation(every=200, episodes=2, eps=0.1 if robustness.kappa else 0.0),
        eps=(0.1,),
        episodes=2,
    )


@pytest.mark.parametrize("case", ALGORITHMS, ids=lambda case: case.name)
def test_everything_comes_back(case: Algorithm, tmp_path: Path) -> None:
    agent = case.build().learn(400)
    saved = resume.capture(agent)
    checkpoints.save(tmp_path / "state", tensors=saved.tensors, state=saved.state)
    loaded = checkpoints.load(tmp_path / "state")

    def restored() -> Any:
        fresh = case.build(seed=1)
        resume.restore(fresh, loaded)
        return fresh

    one, two = restored(), restored()
    assert one.num_timesteps == agent.num_timesteps
    again = resume.capture(two)
    assert again.state == saved.state
    assert all(torch.equal(again.tensors[key], tensor) for key, tensor in saved.tensors.items())

    # Both copies go on in the same way, random numbers included.
    ends = []
    for fresh in (one, two):
        resume.restore(fresh, loaded)
        fresh.learn(200, reset_num_timesteps=False)
        ends.append(torch.cat([p.detach().flatten() for p in fresh.policy.parameters()]))
    assert torch.equal(ends[0], ends[1])
    assert one.num_timesteps >= 600


def test_another_agents_state_is_refused() -> None:
    saved = resume.capture(DISCRETE[0].build().learn(50))
    with pytest.raises(CheckpointError, match="another network"):
        resume.restore(DISCRETE[0].build(policy_kwargs={"net_arch": [4]}), saved)
    with pytest.raises(CheckpointError, match="another buffer"):
        resume.restore(DISCRETE[0].build(buffer_size=20), saved)


SCRIPT = """
import sys
from robustsuite import recipes
from robustsuite.runs.run import Run
recipe = recipes.load_json(__import__("pathlib").Path(sys.argv[1]))
recipe.train(Run.scratch(__import__("pathlib").Path(sys.argv[2])))
"""


@pytest.mark.parametrize("name", ["cartpole-dqn", "cartpole-sadqn"])
def test_a_killed_run_goes_on(name: str, tmp_path: Path) -> None:
    from robustsuite import recipes

    recipe = small(name)
    endless = replace(recipe, learning=replace(recipe.learning, timesteps=10_000_000))
    recipes.save_json(endless, tmp_path / "recipe.json")
    folder = tmp_path / "run"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "recipe.json"), str(folder)]
    process = subprocess.Popen(command)
    state = folder / "checkpoints" / "state.safetensors"
    for _ in range(1200):
        if state.exists():
            break
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    reached = checkpoints.load(state).part("agent").part("counters").state["num_timesteps"]
    assert reached > 0
    shorter = replace(recipe, learning=replace(recipe.learning, timesteps=max(1600, reached + 400)))
    run = Run.scratch(folder, resume=True)
    shorter.train(run)
    after = checkpoints.load(state).part("agent").part("counters").state["num_timesteps"]
    assert after >= reached
    assert agents.load(folder / "checkpoints" / "agent.safetensors").env == "CartPole-v1"
    assert shorter.evaluate(run)

    # A finished run is left as it is.
    before = (folder / "checkpoints" / "agent.safetensors").stat().st_mtime_ns
    shorter.train(run)
    assert (folder / "checkpoints" / "agent.safetensors").stat().st_mtime_ns == before
