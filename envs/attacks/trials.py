"""Trials of adversaries on episodes of their own: which of several leaves an agent least?"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import TypeVar

from robustsuite import seeding
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation

from .. import environments
from ..policies import Agent
from .adversary import Adversary

A = TypeVar("A", bound=Adversary)


def least_return(
    agent: Agent, perturbation: Perturbation, tried: Iterable[A], *, episodes: int, seed: int
) -> A:
    """Give the adversary under which the agent's mean return is least.

    Args:
        agent: under attack.
        perturbation: B(s).
        tried: one or more adversaries; of equal ones the first.
        episodes: that each plays, the same for all.
        seed: of the run; that of the episodes is derived from it, so that no reported one is among them.

    Raises:
        InvalidInput: nothing was given to try.
    """
    found = [
        (value, place, adversary)
        for place, (value, adversary) in enumerate(
            returns(agent, perturbation, tried, episodes=episodes, seed=seed)
        )
    ]
    if not found:
        raise InvalidInput("got no adversaries to try; expected at least one")
    return min(found, key=lambda entry: entry[:2])[2]


def returns(
    agent: Agent, perturbation: Perturbation, tried: Iterable[A], *, episodes: int, seed: int
) -> Iterable[tuple[float, A]]:
    """Give each adversary with the agent's mean return under it. Arguments as for `least_return`."""
    from ..evaluation.rollout import rollout

    first = seeding.derive(seed, "trials")
    with closing(environments.lockstep(agent.env, episodes)) as env:
        for adversary in tried:
            played = rollout(
                agent,
                env,
                episodes=episodes,
                seed=first,
                adversary=adversary,
                perturbation=perturbation,
                attack_seed=first,
                keep_states=False,
            )
            yield float(played.returns.mean()), adversary
