"""Every adversary keeps its budget, repeats itself by seed, and is as strong as it can be on a known controller."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from robustsuite import seeding
from robustsuite.envs import attacks, scale
from robustsuite.envs.attacks import (
    Adversary,
    Coupled,
    MinQ,
    PGDOnQ,
    RandomNoise,
    Timed,
    TowardAction,
    ensure_inside,
)
from robustsuite.envs.policies import Agent
from robustsuite.envs.streams import Streams
from robustsuite.errors import InvalidInput

from .cases import FOES, STD, Foe, controller, q_agent, shown

NOT_ADVERSARIES = {"Adversary", "Attacker", "Memoryless", "Preparation", "ensure_inside"}
STATES = torch.tensor([[1.5, -2.0, 0.1, 1.0], [0.0, 0.0, 0.02, -0.1], [-2.0, 1.0, -0.15, 2.0]])


def test_every_adversary_has_a_case() -> None:
    public = {name for name in attacks.__all__ if name not in NOT_ADVERSARIES}
    public -= {name for name in public if hasattr(getattr(attacks, name), "prepare")}
    assert public == {type(foe.adversary).__name__ for foe in FOES}


def some_states(agent: Agent, count: int = 40) -> torch.Tensor:
    unit = torch.tensor(agent.deviations)
    return torch.randn(count, len(unit), generator=seeding.generator(1)) * unit


@pytest.mark.parametrize("foe", FOES, ids=str)
@pytest.mark.parametrize("eps", [0.0, 0.05, 0.5])
def test_stays_in_the_budget(foe: Foe, eps: float) -> None:
    agent = foe.agent()
    states = some_states(agent)
    seen = shown(foe.adversary, agent.policy, states, agent.ball(eps))
    assert seen.shape == states.shape
    assert ((seen - states).abs() / torch.tensor(agent.deviations)).max() <= eps + 1e-5


@pytest.mark.parametrize("foe", FOES, ids=str)
def test_same_seed_same_states_and_nothing_else_changes(foe: Foe) -> None:
    agent = foe.agent()
    states, parameters = some_states(agent), [*modules_parameters(agent)]
    before, weights = states.clone(), [p.detach().clone() for p in parameters]
    one, two = (shown(foe.adversary, agent.policy, states, agent.ball(0.3), seed=3) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(states, before)
    assert all(p.grad is None and p.requires_grad for p in parameters)
    assert all(torch.equal(p, w) for p, w in zip(parameters, weights, strict=True))


@pytest.mark.parametrize("foe", FOES, ids=str)
def test_an_environment_does_not_depend_on_those_beside_it(foe: Foe) -> None:
    agent = foe.agent()
    states = some_states(agent, 5)
    together = shown(foe.adversary, agent.policy, states, agent.ball(0.3))
    alone = shown(foe.adversary, agent.policy, states[:1], agent.ball(0.3))
    torch.testing.assert_close(together[:1], alone)


@pytest.mark.parametrize("foe", [foe for foe in FOES if foe.harm is not None], ids=str)
def test_harms_more_than_noise(foe: Foe) -> None:
    agent = foe.agent()
    states, ball = some_states(agent, 100), agent.ball(0.3)
    assert foe.harm is not None
    with torch.no_grad():
        most, noise, none = (
            foe.harm(agent.policy, states, seen).mean()
            for seen in (
                shown(foe.adversary, agent.policy, states, ball),
                shown(RandomNoise(), agent.policy, states, ball),
                states,
            )
        )
    assert most > noise
    assert most > none


def modules_parameters(agent: Agent) -> Iterator[torch.nn.Parameter]:
    yield from agent.policy.network.parameters()
    if agent.policy.critic is not None:
        yield from agent.policy.critic.network.parameters()


@pytest.mark.parametrize("adversary", [PGDOnQ(), MinQ(), TowardAction(action=1)], ids=str)
def test_flips_exactly_what_can_be_flipped(adversary: Adversary) -> None:
    """The margin of the controller is |w.s|, so an action can be flipped where |w.s| < w.eps."""
    q, stream = controller().policy, seeding.generator(0)
    states = torch.randn(200, 4, generator=stream) * torch.tensor([1.0, 1.0, 0.1, 0.3])
    slope, eps = torch.tensor([0.05, 0.1, 1.0, 0.3]), 0.2 * torch.tensor(STD)
    value, reach = states @ slope, float(slope @ eps)
    flipped = q.act(shown(adversary, q, states, scale.ball(0.2, STD))) != q.act(states)
    can = value.abs() < reach - 1e-4
    if isinstance(adversary, TowardAction):
        can &= value < 0
    assert (flipped == can).all()
    assert can.any()


def test_min_q_takes_the_worst_action_that_it_can_reach() -> None:
    torch.manual_seed(0)
    q = q_agent((4, 16, 5)).policy
    states, ball = torch.randn(40, 4), scale.ball(1.0, STD)
    worst = shown(MinQ(steps=20), q, states, ball)
    plain = shown(PGDOnQ(steps=20), q, states, ball)

    def true_value(seen: torch.Tensor) -> torch.Tensor:
        return q(states).gather(1, q.act(seen)[:, None]).mean()

    assert true_value(worst) < true_value(plain) < true_value(states)


def test_an_adversary_that_leaves_its_budget_is_named() -> None:
    ball = scale.ball(0.1, STD)
    seen = STATES.clone()
    seen[1, 3] += 0.1 * STD[3] + 1e-3
    with pytest.raises(InvalidInput, match=r"adversary 'greedy' left Linf_std\(0.1\) at state 1"):
        ensure_inside(seen, STATES, ball, name="greedy")
    with pytest.raises(InvalidInput, match="shape"):
        ensure_inside(STATES[:1], STATES, ball, name="short")


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(InvalidInput, match="steps is 0"):
        PGDOnQ(steps=0)
    with pytest.raises(InvalidInput, match="wanted action is 7"):
        shown(TowardAction(action=7), controller().policy, STATES, scale.ball(0.1, STD))
    with pytest.raises(InvalidInput, match="eps is -1"):
        scale.ball(-1.0, STD)
    with pytest.raises(InvalidInput, match="no standard deviations are known for 'Pong-v5'"):
        scale.published("Pong-v5")


def test_random_noise_fills_the_ball() -> None:
    q, zeros = controller().policy, torch.zeros(4000, 4)
    unit = shown(RandomNoise(), q, zeros, scale.ball(0.5, STD)) / (0.5 * torch.tensor(STD))
    torch.testing.assert_close(unit.mean(0), torch.zeros(4), atol=0.05, rtol=0)
    torch.testing.assert_close(unit.std(0), torch.full((4,), 3**-0.5), atol=0.03, rtol=0)


def test_a_timed_adversary_strikes_where_it_matters() -> None:
    agent = controller()
    states = torch.tensor([[0.0, 0.0, 0.2, 2.0], [0.0, 0.0, 0.01, 0.0]])  # margins of 0.8 and 0.01
    timed = Timed(adversary=RandomNoise(), threshold=0.2)
    seen = shown(timed, agent.policy, states, agent.ball(0.1))
    assert not torch.equal(seen[0], states[0])
    assert torch.equal(seen[1], states[1])


def test_a_coupled_adversary_moves_slowly_and_forgets_with_the_episode() -> None:
    agent, states = controller(), torch.zeros(50, 4)
    unit = torch.tensor(STD)
    coupled = Coupled(adversary=RandomNoise(), step=0.25)
    attacker = coupled.start(agent.policy, agent.ball(0.4), Streams(0, episodes=range(50)))
    first, last = torch.ones(50, dtype=torch.bool), states
    for step in range(6):
        moving = states + step
        seen = attacker.show(moving, first) - moving
        assert (seen.abs() / unit).max() <= 0.4 + 1e-5
        assert ((seen - last).abs() / unit).max() <= 0.1 + 1e-4
        first, last = torch.zeros(50, dtype=torch.bool), seen
    assert (last.abs() / unit).max() > 0.2
    again = attacker.show(states, torch.ones(50, dtype=torch.bool))
    assert (again.abs() / unit).max() <= 0.1 + 1e-5
