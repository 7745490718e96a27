"""Recipes with continuous actions: tiny real runs, killed and resumed, and the units of their radii."""

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

from robustsuite import recipes
from robustsuite.envs import RECIPES, DDPGLearning, PPOLearning, TD3Learning, scale
from robustsuite.envs.policies import agent as agents
from robustsuite.envs.recipes.continuous_agent import ContinuousAgent
from robustsuite.errors import InvalidInput
from robustsuite.runs import checkpoints
from robustsuite.runs.run import Run
from robustsuite.training import Linear

_ROLLOUT: dict[str, Any] = {"timesteps": 320, "environments": 2, "collect": 80, "batch_size": 40, "epochs": 2}
_REPLAY: dict[str, Any] = {"timesteps": 160, "buffer_size": 400, "learning_starts": 40, "batch_size": 16}


def small(name: str, **learning: Any) -> ContinuousAgent:
    recipe = RECIPES[name]()
    assert isinstance(recipe, ContinuousAgent)
    sizes = _ROLLOUT if isinstance(recipe.learning, PPOLearning) else _REPLAY
    return replace(
        recipe,
        learning=replace(recipe.learning, hidden=(8, 8), **(sizes | learning)),
        robustness=replace(recipe.robustness, ramp=Linear(begin=60, length=60)),
        eps=recipe.eps[-1:],
        episodes=1,
        save_every=0.0,
    )


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "name",
    [
        "hopper-sappo",
        "pendulum-satd3",
        pytest.param("hopper-ppo", marks=slow),
        pytest.param("hopper-radial", marks=slow),
        pytest.param("invertedpendulum-saddpg", marks=slow),
    ],
)
def test_trains_measures_and_goes_on(name: str, tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    recipe = small(name)
    run = Run.scratch(tmp_path)
    recipe.train(run)
    state = checkpoints.load(run.checkpoints / "state.safetensors")
    reached = state.part("counters").state["num_timesteps"]
    assert 0 < reached <= recipe.learning.timesteps
    agent = agents.load(run.checkpoints / "agent.safetensors")
    assert agent.eps == (recipe.robustness.perturbation.radius if recipe.robustness.kappa else None)
    assert (agent.preprocessing is None) != isinstance(recipe.learning, PPOLearning)
    records = recipe.evaluate(run)
    assert {record.metric.kind for record in records} >= {"clean", "attacked"}

    # What was killed before its end goes on; what is finished is left as it is.
    (run.checkpoints / "agent.safetensors").unlink()
    longer = small(name, timesteps=recipe.learning.timesteps + 80)
    longer.train(Run.scratch(tmp_path, resume=True))
    again = checkpoints.load(run.checkpoints / "state.safetensors").part("counters").state["num_timesteps"]
    assert again > reached
    later = agents.load(run.checkpoints / "agent.safetensors")
    assert later.deviations == agent.deviations
    before = (run.checkpoints / "agent.safetensors").stat().st_mtime_ns
    longer.train(Run.scratch(tmp_path, resume=True))
    assert (run.checkpoints / "agent.safetensors").stat().st_mtime_ns == before


def test_radii_count_deviations_that_are_measured_when_the_ramp_begins(tmp_path: Path) -> None:
    recipe = small("pendulum-satd3")
    run = Run.scratch(tmp_path)
    recipe.train(run)
    agent = agents.load(run.checkpoints / "agent.safetensors")
    assert agent.deviations is not None
    assert len(agent.deviations) == 3
    assert min(agent.deviations) > 0
    assert agent.ball(0.1) == scale.ball(0.1, agent.deviations)


SCRIPT = """
import sys
from pathlib import Path
from robustsuite import recipes
from robustsuite.runs.run import Run
recipes.load_json(Path(sys.argv[1])).train(Run.scratch(Path(sys.argv[2])))
"""


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    learning = PPOLearning(**(_ROLLOUT | {"timesteps": 1_000_000}), hidden=(8,))
    recipe = ContinuousAgent(
        env="Pendulum-v1", subject="PPO", learning=learning, eps=(0.1,), episodes=2, save_every=0.0
    )
    recipes.save_json(recipe, tmp_path / "recipe.json")
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "recipe.json"), str(folder)])
    state = folder / "checkpoints" / "state.safetensors"
    for _ in range(1200):
        if state.exists():
            break
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    reached = checkpoints.load(state).part("counters").state["num_timesteps"]
    shorter = replace(recipe, learning=replace(learning, timesteps=reached + 160))
    shorter.train(Run.scratch(folder, resume=True))
    after = checkpoints.load(state).part("counters").state["num_timesteps"]
    assert reached <= after <= reached + 160
    assert agents.load(folder / "checkpoints" / "agent.safetensors").preprocessing is not None


def test_the_last_layers_of_ddpg_begin_small() -> None:
    robustness = RECIPES["pendulum-satd3"]().robustness  # type: ignore[attr-defined]
    model = DDPGLearning(hidden=(8,), buffer_size=10).build("Pendulum-v1", robustness=robustness, seed=0)
    last = [value for name, value in model.actor.mu.named_parameters() if "weight" in name][-1]
    assert float(last.detach().norm()) == pytest.approx(1e-3, rel=1e-3)
    ours, targets = model.critic.state_dict(), model.critic_target.state_dict()
    assert all(torch.equal(ours[name], targets[name]) for name in ours)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deviations": (1.0, 1.0, 1.0)}, "measured is True"),
        ({"learning": PPOLearning()}, "measured is True"),
        ({"learning": TD3Learning(learning_starts=9000)}, "ramp begins at time step 8000"),
        ({"learning": 3}, "learning is 3"),
    ],
)
def test_units_that_do_not_go_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(RECIPES["pendulum-satd3"](), **changes)


def test_a_perturbation_in_units_of_its_own_is_refused() -> None:
    recipe = small("pendulum-satd3")
    other = replace(recipe.robustness, perturbation=scale.ball(0.1, (1.0, 1.0, 1.0)))
    with pytest.raises(InvalidInput, match="perturbation of a recipe"):
        replace(recipe, robustness=other)
