"""Steps of a fixed agent with noise on its actions, with their true successors: what critics of it are trained on."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite import seeding

from .. import environments
from ..policies import Agent

SIDE_BY_SIDE = 10


class Batch(NamedTuple):
    """Some transitions: states, actions, rewards, successors, and whether the episode ended in them."""

    states: Float[Tensor, "batch state"]
    actions: Float[Tensor, "batch action"]
    rewards: Float[Tensor, " batch"]
    successors: Float[Tensor, "batch state"]
    ended: Bool[Tensor, " batch"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transitions:
    """What a fixed agent met.

    Attributes:
        all: every step; where an episode was cut off by its time limit, it did not end.
        unit: deviation of each coordinate of the agent's own actions, > 0.
    """

    all: Batch
    unit: Float[Tensor, " action"]

    def sample(self, count: int, generator: torch.Generator) -> Batch:
        """Draw transitions with replacement."""
        rows = torch.randint(len(self.all.rewards), (count,), generator=generator)
        return Batch(*(part[rows.to(part.device)] for part in self.all))


def collect(agent: Agent, *, steps: int, noise: float, seed: int) -> Transitions:
    """Play a fixed agent of continuous actions, some environments more noisily than others.

    Args:
        agent: who acts.
        steps: of all environments together, >= 1.
        noise: deviation of the Gaussian noise in the noisiest environment, in deviations of the agent's own actions (of
            the action space's quarter, where these hardly move); it falls to 0 over the others.
        seed: of resets and noise.
    """
    policy = agent.policy
    numbers = seeding.numpy_generator(seed, "transitions", "noise")
    rows: list[tuple[Any, ...]] = []
    with closing(environments.make_many(agent.env, SIDE_BY_SIDE, seed=seed)) as env:
        space: Any = env.action_space
        share = np.linspace(0.0, noise, env.num_envs)[:, None]
        wide = np.where(np.isfinite(space.high - space.low), space.high - space.low, 2.0) / 4
        observations: Any = env.reset()
        means: list[Any] = []
        unit = wide
        while len(rows) * env.num_envs < steps:
            states = agent.states(observations)
            mean = policy.act(states).cpu().numpy()
            means.append(mean)
            if len(means) in (20, 100, 500):  # the agent's own spread, once there is something to measure
                unit = np.maximum(np.concatenate(means).std(0), 0.1 * wide)
            actions = (mean + share * unit * numbers.standard_normal(mean.shape)).astype(np.float32)
            limits = getattr(policy, "limits", None)
            if limits is not None:
                actions = actions.clip(*limits.cpu().numpy())
            observations, rewards, dones, infos = env.step(actions)
            after = agent.states(observations).clone()
            for place in np.flatnonzero(dones):
                after[place] = agent.states(infos[place]["terminal_observation"][None])[0]
            ended = [
                bool(d) and not i.get("TimeLimit.truncated", False) for d, i in zip(dones, infos, strict=True)
            ]
            rows.append(
                (states, torch.from_numpy(actions), torch.tensor(rewards), after, torch.tensor(ended))
            )
    parts = [torch.cat(column).to(policy.device) for column in zip(*rows, strict=True)]
    batch = Batch(parts[0], parts[1], parts[2].float(), parts[3], parts[4])
    spread = np.maximum(np.concatenate(means).std(0), 0.1 * wide)
    return Transitions(all=batch, unit=torch.from_numpy(spread).float().to(policy.device))
