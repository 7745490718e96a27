"""Double and dueling networks, and the losses of CAR-DQN and RADIAL-DQN by their definitions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import nn
from torch.nn import functional

from robustsuite import bounds
from robustsuite.envs import CARDQN, RADIALDQN, SADQN
from robustsuite.envs.algorithms.value_based import Batch
from robustsuite.envs.policies import MLP, sb3
from robustsuite.envs.policies.networks import Dueling
from robustsuite.envs.regularizers import BellmanError, ConvexRegularizer, PGDRegularizer
from robustsuite.envs.training.robustness import Robustness
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf
from robustsuite.training import Constant

from .test_saving import _Images

_TINY: dict[str, Any] = {
    "seed": 0,
    "device": "cpu",
    "buffer_size": 100,
    "policy_kwargs": {"net_arch": [8, 8]},
}


def _batch(agent: Any, count: int = 16, *, weights: torch.Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(count, 4, generator=generator)
    actions = torch.randint(0, 2, (count,), generator=generator)
    targets = torch.randn(count, generator=generator)
    return Batch(
        states=states, actions=actions, targets=targets, values=agent.q_function(states), weights=weights
    )


def test_bounds_of_a_dueling_network_are_those_of_its_folded_form() -> None:
    torch.manual_seed(0)
    heads = Dueling(6, 8, 3, activation=nn.ReLU)
    first, last = nn.Linear(6, 16), nn.Linear(16, 3)
    with torch.no_grad():
        first.weight.copy_(torch.cat([heads.value_hidden.weight, heads.advantage_hidden.weight]))
        first.bias.copy_(torch.cat([heads.value_hidden.bias, heads.advantage_hidden.bias]))
        mean = torch.eye(3) - torch.full((3, 3), 1 / 3)
        last.weight.copy_(torch.cat([heads.value.weight.expand(3, 8), mean @ heads.advantage.weight], 1))
        last.bias.copy_(heads.value.bias + mean @ heads.advantage.bias)
    folded = nn.Sequential(first, nn.ReLU(), last)
    x = torch.randn(5, 6)
    torch.testing.assert_close(heads(x), folded(x))
    region = Linf(0.3).around(x)
    objective = bounds.margins(3, torch.zeros(5, dtype=torch.long))
    for method in (bounds.ibp, bounds.crown_ibp, bounds.crown):
        for wanted in (None, objective):
            one = method(bounds.trace(heads, x), region, objective=wanted)
            other = method(bounds.trace(folded, x), region, objective=wanted)
            torch.testing.assert_close(one.lower, other.lower, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(one.upper, other.upper, rtol=1e-4, atol=1e-5)


def test_a_dueling_agent_learns_and_is_saved_and_converted(tmp_path: Path) -> None:
    robustness = Robustness(perturbation=Linf(0.05), kappa=0.5)
    agent = SADQN(
        "MlpPolicy", "CartPole-v1", robustness=robustness, dueling=True, double=True, **_TINY
    ).learn(130)
    agent.save(tmp_path / "agent")
    again = SADQN.load(tmp_path / "agent", device="cpu")
    assert again.dueling
    assert again.double
    x = torch.randn(20, 4)
    torch.testing.assert_close(again.q_function(x), agent.q_function(x))
    converted = sb3.convert(agent, "CartPole-v1").policy
    torch.testing.assert_close(converted(x), agent.q_function(x))
    assert converted.network.architecture == MLP(sizes=(4, 8, 8, 2), dueling=True)


def test_a_dueling_agent_on_images_has_heads_on_the_convolutions() -> None:
    agent = SADQN("CnnPolicy", _Images(), dueling=True, buffer_size=10, device="cpu", seed=0)
    heads = next(part for part in agent.q_net.modules() if isinstance(part, Dueling))
    assert heads.value_hidden.in_features == 64
    assert heads.value_hidden.out_features == 512
    with pytest.raises(InvalidInput, match="expected a name"):
        SADQN(type(agent.policy), _Images(), dueling=True, device="cpu")


def test_double_targets_are_the_target_value_of_the_online_choice() -> None:
    agent = SADQN("MlpPolicy", "CartPole-v1", double=True, **_TINY)
    with torch.no_grad():
        for parameter in agent.q_net_target.parameters():
            parameter.add_(torch.randn_like(parameter))
    follows = torch.randn(16, 4)
    data = ReplayBufferSamples(
        torch.randn(16, 4), torch.zeros(16, 1), follows, torch.zeros(16, 1), torch.ones(16, 1)
    )
    with torch.no_grad():
        online, target = agent.q_net(follows), agent.q_net_target(follows)
    chosen = target[torch.arange(16), online.argmax(1)]
    torch.testing.assert_close(agent._batch(data).targets, 1 + agent.gamma * chosen)
    assert (chosen <= target.amax(1)).all()
    assert not torch.equal(chosen, target.amax(1))


def test_car_without_a_radius_and_endless_temperature_is_the_mean_loss() -> None:
    agent = CARDQN("MlpPolicy", "CartPole-v1", temperature=math.inf, **_TINY)
    batch = _batch(agent)
    region = Linf(0.0).around(batch.states)
    torch.testing.assert_close(agent.worst(batch, region, 1.0), agent._td(batch))
    weights = torch.rand(16)
    batch = _batch(agent, weights=weights)
    each = functional.smooth_l1_loss(batch.taken, batch.targets, reduction="none")
    torch.testing.assert_close(agent.worst(batch, region, 1.0), (weights * each).mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, math.inf])
def test_car_weighs_the_worst_errors(temperature: float) -> None:
    """The convex form is never below the searched one, and both go by the softmax of their errors."""
    values = {}
    for regularizer in (ConvexRegularizer(beta=Constant(0.0)), PGDRegularizer()):
        robustness = Robustness(perturbation=Linf(0.2), kappa=1.0, regularizer=regularizer)
        agent = CARDQN("MlpPolicy", "CartPole-v1", robustness=robustness, temperature=temperature, **_TINY)
        batch = _batch(agent)
        region = Linf(0.2).around(batch.states)
        errors = agent.solve(BellmanError(batch.actions, batch.targets, 2), region, 1.0)
        each = functional.huber_loss(errors, torch.zeros(16), reduction="none")
        loss = agent.worst(batch, region, 1.0)
        naive = sum(p * e for p, e in zip((each / temperature).softmax(0), each, strict=True))
        if isinstance(regularizer, ConvexRegularizer):
            torch.testing.assert_close(loss, naive)
            assert loss >= each.mean() - 1e-6
        values[type(regularizer)] = errors
    assert (values[ConvexRegularizer] >= values[PGDRegularizer] - 1e-5).all()


def test_radial_is_the_sum_over_actions_by_definition() -> None:
    robustness = Robustness(
        perturbation=Linf(0.2), kappa=0.2, regularizer=ConvexRegularizer(beta=Constant(0.0))
    )
    agent = RADIALDQN("MlpPolicy", "CartPole-v1", robustness=robustness, **_TINY)
    batch = _batch(agent)
    region = Linf(0.2).around(batch.states)
    found = bounds.ibp(agent.q_function.graph(batch.states), region)
    total, values = 0.0, batch.values.detach()
    for i in range(16):
        taken = int(batch.actions[i])
        for a in range(2):
            gap = max(0.0, float(values[i, taken] - values[i, a]))
            total += gap * max(0.0, float(found.upper[i, a] - found.lower[i, taken]) + gap / 2)
    assert float(agent.worst(batch, region, 1.0)) == pytest.approx(total / 16, rel=1e-4)
    td, worst = torch.tensor(1.0), torch.tensor(10.0)
    assert float(agent.total(td, worst)) == pytest.approx(0.8 + 2.0)


def test_shares_above_one_and_wrong_options_are_refused() -> None:
    with pytest.raises(InvalidInput, match="kappa is 2"):
        CARDQN("MlpPolicy", "CartPole-v1", robustness=Robustness(kappa=2.0), **_TINY)
    with pytest.raises(InvalidInput, match="temperature is 0"):
        CARDQN("MlpPolicy", "CartPole-v1", temperature=0.0, **_TINY)
    with pytest.raises(InvalidInput, match="double is 1"):
        SADQN("MlpPolicy", "CartPole-v1", double=1, **_TINY)  # type: ignore[arg-type]


def test_settings_of_the_algorithm_come_back(tmp_path: Path) -> None:
    agent = CARDQN("MlpPolicy", "CartPole-v1", temperature=3.0, **_TINY)
    agent.save(tmp_path / "agent")
    assert CARDQN.load(tmp_path / "agent").temperature == 3.0
    assert np.isclose(agent.radius_share, 0)
