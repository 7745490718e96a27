"""The switching rule: a few numbers that say which action to force at which state.

An adversary that does not look at the agent's values, but at the state: force the action that the sign of ``w . s`` names,
wherever some state of B(s) reaches it. Four numbers for CartPole, found by searching on episodes of one's own, left agents
with half of the return that they kept under PGD.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite import attacks, seeding
from robustsuite.arguments import check_fields
from robustsuite.attacks import Targeted
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from .. import environments
from ..policies import Agent, Policy, QFunction
from .adversary import Memoryless
from .criteria import Pushed
from .trials import least_return, played_under

Weights = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchingRule(Memoryless):
    """Force the action ``argmax_a (W s)_a`` wherever PGD finds a state of B(s) at which the agent takes it; continuous actions
    are pushed along ``sign(W s)``.

    Args:
        weights: W, one row for each action (or coordinate of the action), each as long as the state; of two actions one row
            is enough, whose sign decides.
        steps: gradient steps, >= 1.

    Raises:
        InvalidInput: no rows, rows of different lengths, or numbers that are not finite.
    """

    weights: Weights
    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "steps", integer=True, least=1)
        lengths = {len(row) for row in self.weights}
        if len(lengths) != 1 or not all(math.isfinite(value) for row in self.weights for value in row):
            raise InvalidInput(
                f"weights has rows of lengths {sorted(lengths)}; expected finite rows as long as a state, one for each action"
            )

    @property
    def name(self) -> str:
        return "switching rule"

    def check(self, policy: Policy) -> None:
        """See `Memoryless`."""
        if isinstance(policy, QFunction) and len(self.weights) != _rows(policy.actions):
            raise InvalidInput(
                f"the rule has {len(self.weights)} row(s) and the agent {policy.actions} actions; expected "
                f"{_rows(policy.actions)}, those of search_rule for this agent"
            )

    def wanted(self, states: Float[Tensor, "batch *state"]) -> Float[Tensor, "batch rows"]:
        """Give ``W s``, of two actions ``(0, w . s)``."""
        weights = states.new_tensor(self.weights)
        flat = states.flatten(1)
        if flat.shape[1] != weights.shape[1]:
            raise InvalidInput(
                f"the rule weighs {weights.shape[1]} coordinates and a state has {flat.shape[1]}; expected as many"
            )
        return flat @ weights.T

    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *observation"]:
        return _forced(policy, states, self.wanted(states), perturbation, seeds, steps=self.steps)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _SideBySide(Memoryless):
    """Rules that are tried together: each environment has one of its own.

    Args:
        weights: shape (environments, rows, state).
        steps: gradient steps.
    """

    weights: Tensor
    steps: int

    @property
    def name(self) -> str:
        return "switching rules"

    def shown(
        self, policy: Policy, states: Tensor, perturbation: Perturbation, seeds: ExampleSeeds
    ) -> Tensor:
        values = torch.einsum("eas,es->ea", self.weights.to(states), states.flatten(1))
        return _forced(policy, states, values, perturbation, seeds, steps=self.steps)


def _forced(
    policy: Policy,
    states: Tensor,
    values: Float[Tensor, "batch rows"],
    perturbation: Perturbation,
    seeds: ExampleSeeds,
    *,
    steps: int,
) -> Tensor:
    attack = attacks.PGD(steps=steps)
    if not isinstance(policy, QFunction):
        pushed = Pushed(values.sign())
        return attack(policy.network, states, pushed, perturbation, generator=seeds).adversarial
    action = (values[:, 0] > 0).long() if values.shape[1] == 1 else values.argmax(1)
    result = attack(policy.network, states, Targeted(action), perturbation, generator=seeds)
    # Where the action is out of reach, the true state: a try that missed may force a third action.
    missed = ~result.success.view(-1, *[1] * (states.dim() - 1))
    return torch.where(missed, states, result.adversarial)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchingRuleSearch:
    """Search the rule that leaves an agent least, by the cross-entropy method on episodes of its own.

    Rules are drawn from a Gaussian over W (in deviations of the state, whose length does not matter), tried, and the Gaussian
    moves to the best fifth. The best rules of all are tried again on more episodes, because the least of many noisy returns is
    an accident as often as not.

    Args:
        budget: rules tried, >= 1.
        generation: rules drawn from one Gaussian, >= 1.
        episodes: for each rule, >= 1.
        finalists: rules that are tried on four times as many, >= 1.
        steps: of the attack. See `SwitchingRule`.

    Source: Rubinstein 1999 (cross-entropy method).
    """

    budget: int = 96
    generation: int = 24
    episodes: int = 4
    finalists: int = 4
    steps: int = 10

    def __post_init__(self) -> None:
        check_fields(self, "budget", "generation", "episodes", "finalists", "steps", integer=True, least=1)

    @property
    def name(self) -> str:
        return "switching rule"

    def prepare(self, agent: Agent, perturbation: Perturbation, *, seed: int) -> SwitchingRule:
        """See `Preparation`."""
        shape, unit = _shape(agent, seed)
        numbers = seeding.numpy_generator(seed, "switching rule")
        mean, spread = np.zeros(shape), np.ones(shape)
        every: list[npt.NDArray[np.float64]] = []
        scores: list[float] = []
        while len(every) < self.budget:
            count = min(self.generation, self.budget - len(every))
            drawn = mean + spread * numbers.standard_normal((count, *shape))
            drawn /= np.maximum(np.abs(drawn).max(axis=(1, 2), keepdims=True), 1e-12)
            values = self._tried(agent, perturbation, drawn / unit, seeding.derive(seed, "rules", len(every)))
            best = drawn[np.argsort(values, kind="stable")[: max(count // 5, 1)]]
            every += list(drawn / unit)
            scores += values
            mean, spread = best.mean(0), best.std(0) + 0.5 / len(every) * self.generation
        order = np.argsort(scores, kind="stable")[: self.finalists]
        finalists = [
            SwitchingRule(weights=tuple(map(tuple, every[place].tolist())), steps=self.steps)
            for place in order
        ]
        return least_return(agent, perturbation, finalists, episodes=4 * self.episodes, seed=seed)

    def _tried(
        self, agent: Agent, perturbation: Perturbation, weights: npt.NDArray[np.float64], seed: int
    ) -> list[float]:
        """Give the mean return under each rule; all rules are played side by side, on episodes of their own."""
        each = torch.from_numpy(weights).repeat_interleave(self.episodes, 0)
        together = _SideBySide(weights=each, steps=self.steps)
        played = played_under(agent, perturbation, together, episodes=len(each), seed=seed)
        means: list[float] = played.reshape(len(weights), self.episodes).mean(1).tolist()
        return means


def search_rule(
    agent: Agent, perturbation: Perturbation, *, seed: int, budget: int = 96, episodes: int = 4
) -> SwitchingRule:
    """Search the switching rule that leaves an agent least. See `SwitchingRuleSearch`."""
    search = SwitchingRuleSearch(budget=budget, episodes=episodes)
    return search.prepare(agent, perturbation, seed=seed)


def _rows(actions: int) -> int:
    return 1 if actions == 2 else actions


def _shape(agent: Agent, seed: int) -> tuple[tuple[int, int], npt.NDArray[np.float64]]:
    """Give the shape of W, and the deviation of each coordinate over natural episodes."""
    from ..evaluation.rollout import rollout  # it needs the adversaries

    first = seeding.derive(seed, "switching rule", "natural")
    with closing(environments.lockstep(agent.env, 4)) as env:
        states = rollout(agent, env, episodes=4, seed=first).states
        space: Any = env.action_space
    flat = states.reshape(len(states), -1)
    policy = agent.policy
    rows = _rows(policy.actions) if isinstance(policy, QFunction) else int(np.prod(space.shape))
    return (rows, flat.shape[1]), np.maximum(flat.std(0), 1e-6).astype(np.float64)
