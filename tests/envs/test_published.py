"""Agents that others published: forward passes, bounds, budgets and returns of theirs; descriptions that are not understood."""

from __future__ import annotations

import itertools
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file

from robustsuite import attacks, bounds
from robustsuite.envs.attacks import (
    CriticAttack,
    LearnedAdversary,
    MaximalActionDifference,
    RandomNoise,
    RobustSarsa,
)
from robustsuite.envs.attacks.names import named
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import ActionCritic, Deterministic, Gaussian, published
from robustsuite.envs.policies import agent as agents
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.perturbations import Linf

from .cases import shown

FOLDER = Path(os.environ.get("ROBUSTSUITE_DATA", "nowhere")) / "published_agents"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json")) or ["none"]
needs_files = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the published agents")

Sizes = list[int]


def written(folder: Path, *, tensors: dict[str, torch.Tensor], **about: Any) -> Path:
    """Write an agent in the published form."""
    save_file(tensors, folder / "agent.safetensors")
    (folder / "agent.json").write_text(json.dumps(about))
    return folder / "agent"


def layers(part: str, sizes: Sizes) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {}
    for place, (inner, outer) in enumerate(itertools.pairwise(sizes)):
        made[f"{part}.{place}.weight"] = torch.randn(outer, inner, generator=generator) / inner**0.5
        made[f"{part}.{place}.bias"] = torch.zeros(outer)
    return made


def ddpg(folder: Path, env: str, states: int, actions: int, **changes: Any) -> Path:
    """Write a DDPG agent as the published ones are."""
    actor, critic = [states, 20, actions], [states + actions, 20, 1]
    about: dict[str, Any] = {
        "env_id_source": env,
        "obs_dim": states,
        "action_dim": actions,
        "actor": {"layers": actor, "hidden_activation": "relu", "output_activation": "tanh"},
        "critic": {"layers": critic, "hidden_activation": "relu", "input": "concat(observation, action)"},
        "observation_normaliser": None,
        "perturbation": {"norm": "linf", "eps": 0.1, "scale": "eps * attack.state_std per coordinate"},
    }
    tensors = layers("actor", actor) | layers("critic", critic)
    tensors |= {"attack.state_std": torch.ones(states), "attack.action_std": torch.ones(actions)}
    return written(folder, tensors=tensors, **(about | changes))


@needs_files
@pytest.mark.parametrize("name", NAMES)
def test_the_forward_pass_is_that_of_the_weights(name: str) -> None:
    agent, weights = published.load(FOLDER / name), load_file(FOLDER / f"{name}.safetensors")
    about = json.loads((FOLDER / f"{name}.json").read_text())
    observation = np.random.default_rng(0).normal(size=(5, about["obs_dim"]))
    x: npt.NDArray[Any] = observation
    if about["observation_normaliser"]:
        mean, std = (weights[f"obs_norm.{part}"].numpy() for part in ("mean", "std"))
        x = np.clip((x - mean) / (std + 1e-8), -10, 10)
    count = len(about["actor"]["layers"]) - 1
    for place in range(count):
        x = x @ weights[f"actor.{place}.weight"].numpy().T + weights[f"actor.{place}.bias"].numpy()
        if place < count - 1:
            x = np.maximum(x, 0) if about["actor"]["hidden_activation"] == "relu" else np.tanh(x)
    if about["actor"]["output_activation"] == "tanh":
        x = np.tanh(x)
    own = agent.policy.act(agent.states(observation.astype(np.float64))).numpy()
    np.testing.assert_allclose(own, x, atol=1e-5)


@needs_files
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("adversary", [RandomNoise(), CriticAttack(), MaximalActionDifference()], ids=str)
def test_attacks_stay_in_the_published_ball(name: str, adversary: RandomNoise) -> None:
    agent = published.load(FOLDER / name)
    assert agent.eps is not None
    size = len(agent.deviations) if agent.deviations else 11
    states = torch.randn(7, size)
    unit = torch.tensor(agent.deviations) if agent.deviations else torch.ones(size)
    seen = shown(adversary, agent.policy, states, agent.ball(agent.eps))
    assert ((seen - states).abs() / unit).max() <= agent.eps + 1e-5


@needs_files
@pytest.mark.parametrize("task", ["invertedpendulum", "hopper"])
def test_bounds_of_actions_hold_and_robust_agents_move_less(task: str) -> None:
    widths = {}
    for kind in ("vanilla", "convex"):
        agent = published.load(FOLDER / f"ddpg_{task}_{kind}")
        with closing(lockstep(agent.env, 1)) as env:
            states = torch.from_numpy(rollout(agent, env, episodes=1, seed=0).states[:40:2])
        assert agent.eps is not None
        policy, region = agent.policy, agent.ball(agent.eps).around(states)
        graph = policy.graph(states)
        loose, tight = (method(graph, region) for method in (bounds.ibp, bounds.crown))
        assert (tight.upper - tight.lower <= loose.upper - loose.lower + 1e-5).all()
        tried = [region.sample(generator=torch.Generator().manual_seed(seed)) for seed in range(50)]
        worst = attacks.PGD(steps=10)(
            policy.network, states, policy.divergence(states), agent.ball(agent.eps)
        )
        for seen in (*tried, worst.adversarial):
            action = policy.act(seen)
            assert (action >= tight.lower - 1e-5).all()
            assert (action <= tight.upper + 1e-5).all()
        widths[kind] = float((tight.upper - tight.lower).mean().detach())
    assert widths["convex"] < 0.7 * widths["vanilla"]


@needs_files
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vanilla", "convex", "sgld"])
def test_the_pendulum_stands_under_noise_and_mad(kind: str) -> None:
    agent = published.load(FOLDER / f"ddpg_invertedpendulum_{kind}")
    ball = agent.ball(0.3)
    with closing(lockstep(agent.env, 10)) as env:
        for adversary in (None, RandomNoise(), MaximalActionDifference()):
            played = rollout(agent, env, episodes=10, seed=1000, adversary=adversary, perturbation=ball)
            assert played.returns.min() == 1000


@pytest.mark.parametrize(
    ("env", "size", "actions", "zeros"),
    [
        ("Ant-v2", 111, 8, 6),
        ("Reacher-v2", 11, 2, 1),
        ("Humanoid-v2", 376, 17, 28),
        ("Walker2d-v2", 17, 6, 0),
    ],
)
def test_agents_of_older_versions_act_in_the_present_ones(
    tmp_path: Path, env: str, size: int, actions: int, zeros: int
) -> None:
    pytest.importorskip("mujoco")
    agent = published.load(ddpg(tmp_path, env, size, actions))
    assert agent.env == env.replace("v2", "v5")
    with closing(gym.make(agent.env)) as made:
        observation, _ = made.reset(seed=0)
    states = agent.states(observation[None])
    assert states.shape == (1, size)
    assert size - len(observation) == zeros
    again = agents.from_checkpoint(agent.checkpoint())
    assert torch.equal(again.states(observation[None]), states)
    with closing(lockstep(agent.env, 1)) as envs:
        played = rollout(
            agent, envs, episodes=1, seed=0, adversary=RandomNoise(), perturbation=agent.ball(0.1)
        )
    assert np.isfinite(played.returns).all()


def test_a_critic_and_an_adversary_of_others(tmp_path: Path) -> None:
    sizes = [5, 8, 1]
    about = {"layers": sizes, "hidden_activation": "ReLU", "input": "concat(action, observation)"}
    path = written(
        tmp_path, tensors=layers("sarsa", sizes), env_id_source="Hopper-v2", action_dim=2, sarsa=about
    )
    critic = published.load_critic(path)
    assert isinstance(critic, ActionCritic)
    policy = Gaussian(torch.nn.Linear(3, 1), torch.zeros(1))
    (by_name,) = named((f"rs:{path}",), policy)
    assert isinstance(by_name, RobustSarsa)
    states, actions = torch.randn(4, 3), torch.randn(4, 2)
    assert torch.allclose(critic(states, actions), _straight(layers("sarsa", sizes), actions, states))
    sizes = [3, 8, 3]
    about = {"layers": sizes, "hidden_activation": "tanh", "output_activation": "hardtanh"}
    path = written(tmp_path, tensors=layers("adversary", sizes), env_id_source="Pendulum-v1", adversary=about)
    adversary = LearnedAdversary(adversary=published.load_adversary(path), timesteps=0)
    assert adversary.adversary.policy.kind == Deterministic.kind
    seen = shown(adversary, policy, states, Linf(0.1))
    assert 0 < float((seen - states).abs().max()) <= 0.1 + 1e-6


def _straight(weights: dict[str, torch.Tensor], *parts: torch.Tensor) -> torch.Tensor:
    x = torch.cat(parts, 1)
    x = (x @ weights["sarsa.0.weight"].T).relu()
    return (x @ weights["sarsa.1.weight"].T).squeeze(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"perturbation": {"norm": "l2", "eps": 0.1}}, "norm is 'l2'"),
        ({"observation_normaliser": {"formula": "obs / 2"}}, "normaliser is 'obs / 2'"),
        (
            {"actor": {"layers": [3, 20, 1], "hidden_activation": "swish", "output_activation": "tanh"}},
            "'swish'",
        ),
        ({"perturbation": {"norm": "linf"}}, "lacks 'eps'"),
        (
            {"critic": {"layers": [4, 20, 1], "hidden_activation": "relu", "input": "a picture"}},
            "takes 'a picture'",
        ),
    ],
)
def test_descriptions_that_are_not_understood_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((InvalidInput, CheckpointError), match=message):
        published.load(ddpg(tmp_path, "Pendulum-v1", 3, 1, **changes))
