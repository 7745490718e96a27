"""Trials of adversaries on episodes of their own: which of several leaves an agent least?"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import TypeVar

import numpy as np
import numpy.typing as npt

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
    first = seeding.derive(seed, "trials")
    found = [
        (float(played_under(agent, perturbation, one, episodes=episodes, seed=first).mean()), place, one)
        for place, one in enumerate(tried)
    ]
    if not found:
        raise InvalidInput("got no adversaries to try; expected at least one")
    return min(found, key=lambda entry: entry[:2])[2]


def played_under(
    agent: Agent, perturbation: Perturbation, adversary: Adversary, *, episodes: int, seed: int
) -> npt.NDArray[np.float64]:
    """Give the agent's return in each of some episodes under an adversary, all side by side from the reset seed `seed` on."""
    from ..evaluation.rollout import rollout  # it needs the adversaries

    with closing(environments.lockstep(agent.env, episodes)) as env:
        return rollout(
            agent,
            env,
            episodes=episodes,
            seed=seed,
            adversary=adversary,
            perturbation=perturbation,
            attack_seed=seed,
            keep_states=False,
        ).returns
