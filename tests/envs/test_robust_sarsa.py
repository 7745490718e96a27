"""Robust Sarsa: critics that know the worth of actions, and attacks that break what MAD does not."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
import torch

from robustsuite.envs.attacks import (
    Adversary,
    MaximalActionDifference,
    Preparation,
    RobustSarsa,
    RobustSarsaAndMADTraining,
    RobustSarsaTraining,
)
from robustsuite.envs.attacks.sarsa import SarsaTraining, train_critic
from robustsuite.envs.attacks.transitions import Batch, Transitions
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import Agent, critics, published
from robustsuite.errors import CheckpointError, InvalidInput

from .cases import controller, deterministic, pendulum, shown

PUBLISHED = Path(os.environ.get("ROBUSTSUITE_DATA", "nowhere")) / "published_agents"


def one_step() -> Transitions:
    """Episodes of one step: r = -(a - 1)^2, whatever the state."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(2000, 1, generator=generator)
    states = torch.randn(2000, 3, generator=generator)
    every = Batch(states, actions, -((actions[:, 0] - 1) ** 2), states, torch.ones(2000, dtype=torch.bool))
    return Transitions(all=every, unit=torch.ones(1))


def test_a_critic_learns_the_worth_of_actions() -> None:
    agent, met = pendulum(deterministic), one_step()
    training = SarsaTraining(updates=300, rate=3e-3, hidden=(32,), gamma=0.0, weight=0.0)
    critic = train_critic(agent, met, training, seed=0)
    states, actions = torch.randn(3, 3), torch.tensor([[-1.0], [0.0], [1.0]])
    low, middle, high = critic(states, actions).tolist()
    assert low < middle < high


def test_a_robust_critic_moves_less_with_the_action() -> None:
    agent, met = pendulum(deterministic), one_step()

    def slope(weight: float) -> float:
        training = SarsaTraining(updates=150, rate=3e-3, hidden=(32,), gamma=0.0, box=0.5, weight=weight)
        critic = train_critic(agent, met, training, seed=0)
        states = torch.zeros(50, 3)
        values = critic(states, torch.linspace(-2, 2, 50)[:, None])
        return float((values.max() - values.min()).detach())

    assert slope(3.0) < 0.7 * slope(0.0)


def test_a_critic_on_disk(tmp_path: Path) -> None:
    critic = train_critic(pendulum(deterministic), one_step(), SarsaTraining(updates=1), seed=0)
    critics.save(critic, tmp_path / "critic.safetensors")
    again = critics.load(tmp_path / "critic.safetensors")
    states, actions = torch.randn(5, 3), torch.randn(5, 1)
    assert torch.equal(critic(states, actions), again(states, actions))
    with pytest.raises(CheckpointError):
        critics.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("kind", ["rs", "rs+mad"])
def test_preparations_repeat_themselves(kind: str) -> None:
    agent = pendulum(deterministic)
    sarsa = RobustSarsaTraining(
        samples=200,
        training=SarsaTraining(updates=20, hidden=(16,)),
        boxes=(0.1,),
        weights=(0.1, 1.0),
        episodes=1,
        steps=1,
    )
    preparation: Preparation = (
        sarsa if kind == "rs" else RobustSarsaAndMADTraining(sarsa=sarsa, shares=(0.1,))
    )
    ball, states = agent.ball(0.2), torch.randn(20, 3)
    one, two = (preparation.prepare(agent, ball, seed=5) for _ in range(2))
    assert isinstance(one, Adversary)
    assert one.name == preparation.name
    assert torch.equal(shown(one, agent.policy, states, ball), shown(two, agent.policy, states, ball))


def test_discrete_actions_are_refused() -> None:
    agent = controller()
    critic = train_critic(pendulum(deterministic), one_step(), SarsaTraining(updates=1), seed=0)
    with pytest.raises(InvalidInput, match="has a critic of continuous actions"):
        shown(RobustSarsa(critic=critic), agent.policy, torch.zeros(2, 4), agent.ball(0.1))
    with pytest.raises(InvalidInput, match="has a critic of continuous actions"):
        RobustSarsaTraining().prepare(agent, agent.ball(0.1), seed=0)


def left(agent: Agent, adversary: Adversary) -> float:
    assert agent.eps is not None
    with closing(lockstep(agent.env, 10)) as env:
        played = rollout(
            agent, env, episodes=10, seed=1000, adversary=adversary, perturbation=agent.ball(agent.eps)
        )
    return float(played.returns.mean())


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs the published agents")
def test_breaks_a_published_agent_that_stands_against_mad() -> None:
    name, most = "ddpg_hopper_vanilla", 1000.0
    agent = published.load(PUBLISHED / name)
    assert agent.eps is not None
    adversary = RobustSarsaTraining().prepare(agent, agent.ball(agent.eps), seed=0)
    assert left(agent, adversary) < most
    assert left(agent, MaximalActionDifference()) > most
