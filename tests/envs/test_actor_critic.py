"""Algorithms with an actor and a critic on continuous actions: PPO, TD3 and DDPG with a worst case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from robustsuite import seeding
from robustsuite.envs import GaussianNoise, OrnsteinUhlenbeckNoise
from robustsuite.envs.regularizers import ActionShift, WorstSurrogate
from robustsuite.errors import InvalidInput, TrainingDiverged
from robustsuite.perturbations import Linf
from robustsuite.training import Linear

from .cases import CONTINUOUS, CROWN_IBP, IBP, MIXED, PGD, Algorithm, deterministic
from .test_algorithms import weights

cases = pytest.mark.parametrize("case", CONTINUOUS, ids=lambda case: case.name)


@cases
def test_a_radius_of_0_learns_as_the_parent_does(case: Algorithm) -> None:
    still = replace(case.robustness, perturbation=Linf(0.0), ramp=Linear(length=2))
    ours = weights(case.build(robustness=still).learn(120))
    torch.testing.assert_close(ours, weights(case.plain().learn(120)), atol=1e-4, rtol=1e-4)


@cases
def test_regularised_agents_move_less(case: Algorithm) -> None:
    @torch.no_grad()
    def moved(agent: Any) -> float:
        states = torch.randn(64, 3, generator=seeding.generator(0))
        region = case.robustness.perturbation.around(states)
        shift = ActionShift(agent.view(states))
        worst = CROWN_IBP.worst(agent.view, shift, region, ramp=1.0, generator=seeding.generator(0))
        return float(worst.mean())

    rates = {"learning_rate": 3e-3, "critic_learning_rate": 1e-5}
    plenty = replace(case.robustness, perturbation=Linf(0.5), ramp=Linear(length=40))
    strong = replace(plenty, kappa=case.strong)
    # kappa 1e-9 and not 0: both take the same path, and have a view.
    ends = [
        moved(case.build(robustness=r, **rates).learn(280)) for r in (strong, replace(plenty, kappa=1e-9))
    ]
    assert ends[0] < ends[1]


class _Paying(gym.RewardWrapper[Any, Any]):
    """Pays NaN from the 60th step on."""

    steps = 0

    def reward(self, reward: Any) -> float:
        self.steps += 1
        return float("nan") if self.steps > 60 else float(reward)


@cases
@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_rewards_that_are_no_numbers_are_found(case: Algorithm, kappa: float) -> None:
    agent = case.build(_Paying(gym.make(case.env)), robustness=replace(case.robustness, kappa=kappa))
    with pytest.raises(TrainingDiverged, match="is nan .*timestep"):
        agent.learn(300)


@cases
def test_actor_and_critic_have_their_own_rates(case: Algorithm, tmp_path: Path) -> None:
    agent = case.build(learning_rate=1e-4, critic_learning_rate=1e-3).learn(80)
    recorded = agent.logger.name_to_value
    assert recorded["train/learning_rate"] == 1e-4
    assert recorded["train/critic_learning_rate"] == 1e-3
    agent.save(tmp_path / "agent")
    again: Any = case.make.load(tmp_path / "agent", device="cpu")
    assert again.critic_learning_rate == 1e-3
    with pytest.raises(InvalidInput, match="critic_learning_rate is -1"):
        case.build(critic_learning_rate=-1)


@cases
def test_spaces_that_do_not_fit_are_refused(case: Algorithm) -> None:
    with pytest.raises(InvalidInput, match="actions are Discrete"):
        case.build("CartPole-v1")
    with pytest.raises(InvalidInput, match="perturbation"):
        case.build(robustness=replace(case.robustness, perturbation=Linf((0.1, 0.1))))


def _replaying(name: str) -> Algorithm:
    return next(case for case in CONTINUOUS if case.name.startswith(name))


@pytest.mark.parametrize("noise", [GaussianNoise(std=0.3), OrnsteinUhlenbeckNoise()])
def test_noise_on_actions_is_a_setting_like_others(noise: Any, tmp_path: Path) -> None:
    agent = _replaying("sa-td3").build(action_noise=noise).learn(60)
    agent.save(tmp_path / "agent")
    again = agent.load(tmp_path / "agent", env="Pendulum-v1", device="cpu")
    assert again.exploration == noise
    assert type(again.action_noise) is type(noise.build(1))
    with pytest.raises(InvalidInput, match="action_noise is 0.1"):
        _replaying("sa-td3").build(action_noise=0.1)


def test_radial_refuses_a_weight_above_1() -> None:
    case = _replaying("radial")
    with pytest.raises(InvalidInput, match="kappa of RADIAL-PPO is 2"):
        case.build(robustness=replace(case.robustness, kappa=2.0))


@pytest.mark.parametrize("convex", [IBP, CROWN_IBP, MIXED])
def test_the_worst_surrogate_lies_between_search_and_bounds(convex: Any) -> None:
    torch.manual_seed(0)
    policy, states = deterministic(3, 2), torch.randn(64, 3)
    region, stream = Linf(0.2).around(states), seeding.generator(0)
    quantity = WorstSurrogate(
        torch.randn(64, 2), torch.rand(64, 2) + 0.2, torch.randn(64), torch.randn(64) - 2, clip=0.2
    )
    above = convex.worst(policy, quantity, region, ramp=0.5, generator=stream)
    below = PGD.worst(policy, quantity, region, ramp=0.5, generator=stream)
    sampled = torch.stack([quantity.value(policy(region.sample(generator=stream))) for _ in range(50)])
    assert (below <= above + 1e-5).all()
    assert (sampled.amax(0) <= above + 1e-5).all()
    assert float((above.detach() - quantity.value(policy(states)).detach()).mean()) > 0
    index = torch.tensor([3, 1])
    torch.testing.assert_close(
        quantity.select(index).value(policy(states[index])), quantity.value(policy(states))[index]
    )
    # Where nothing moves, it is PPO's own loss.
    still = convex.worst(policy, quantity, Linf(0.0).around(states), ramp=0.5, generator=stream)
    torch.testing.assert_close(still, quantity.value(policy(states)))
    normal = torch.distributions.Normal(policy(states), quantity.deviations)
    ratio = (normal.log_prob(quantity.actions).sum(1) - quantity.log_old).exp()
    wanted = -torch.minimum(quantity.advantages * ratio, quantity.advantages * ratio.clamp(0.8, 1.2))
    torch.testing.assert_close(still, wanted)
    assert np.isfinite(above.detach().numpy()).all()
