"""Certificates of a Q agent: steps at which no state of B(s) changes the action, and returns that follow from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite import bounds
from robustsuite.arguments import check_kind, check_number
from robustsuite.bounds import Method
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.perturbations.features import check_batch

from ..evaluation.rollout import Rollout
from ..policies import Policy, QFunction
from ..threads import one_thread

METHODS: Mapping[str, Method] = {"IBP": bounds.ibp, "CROWN": bounds.crown}
"""The bound methods of the evaluation, by the name in tables."""

LOWEST_REWARD: Mapping[str, float] = {"CartPole-v1": 1.0, "Acrobot-v1": -1.0}
"""Environments that are deterministic after their reset, with a lower bound of the reward of any step."""

_BATCH = 2048


@torch.no_grad()
def certified_actions(
    policy: Policy,
    states: Float[Tensor, "steps *observation"],
    perturbation: Perturbation,
    *,
    method: Method = bounds.crown,
    sound: bool = False,
) -> Bool[Tensor, " steps"]:
    """Say for each state whether ``min over a != a* of the lower bound of Q(.,a*) - Q(.,a)`` over B(s) is > 0.

    The mean is the action certification rate (ACR); it belongs to the bound method, so name the method with it.

    Source: Zhang et al. 2020 (SA-MDP), section 4 (action certification rate).

    Args:
        policy: that takes the action of the largest value.
        states: true states, shape (steps, *observation).
        perturbation: B(s).
        method: bounding method, such as `bounds.ibp` or `bounds.crown`.
        sound: whether rounding is bounded too: then what is certified holds for the actions as they are computed.

    Raises:
        InvalidInput: no states.
    """
    check_kind(
        policy, QFunction, "policy", "one that takes the action of the largest value: the policy of a DQN"
    )
    assert isinstance(policy, QFunction)
    check_kind(perturbation, Perturbation, "perturbation", "a threat model such as scale.ball(0.1, std)")
    check_batch(states, "states")
    if len(states) == 0:
        raise InvalidInput("got no states to certify; expected at least one")
    graph = policy.graph(states[:2], sound=sound)
    parts = []
    with one_thread():
        for batch in torch.split(states, _BATCH):
            rows = bounds.margins(policy.actions, policy.greedy(batch)).to(batch)
            lower = method(graph, perturbation.around(batch), objective=rows, upper=False).lower
            parts.append((lower > 0).all(1))
    return torch.cat(parts)


def certified_returns(
    natural: Rollout, certified: npt.NDArray[np.bool_], *, lowest_reward: float, horizon: int
) -> npt.NDArray[np.float64]:
    """Give for each episode a return that no adversary in B can undercut, in a deterministic environment.

    Up to the first step that is not certified the episode is the same under every adversary. From there on each
    reward is at least `lowest_reward`, for at least one and at most ``horizon - t`` steps. An episode that is
    certified throughout keeps its natural return exactly.

    Note:
        Valid from the episode's reset state on, and only if the environment is deterministic after the reset.

    Args:
        natural: episodes without attack.
        certified: for each step of `natural`, shape (steps,); from `certified_actions` with ``sound=True``, as one action that
            rounding flips makes another episode.
        lowest_reward: lower bound of the reward of any step.
        horizon: most steps that an episode can have.

    Raises:
        InvalidInput: one flag per step is missing.
    """
    check_number("lowest_reward", lowest_reward)
    check_number("horizon", horizon, integer=True, least=1)
    if certified.shape != natural.episode.shape:
        raise InvalidInput(
            f"certified has shape {certified.shape}; expected one flag per step, {natural.episode.shape}"
        )
    values = np.array(natural.returns)
    for episode in range(len(values)):
        steps = natural.episode == episode
        gaps = np.flatnonzero(~certified[steps])
        if len(gaps):
            first = int(gaps[0])
            rest = min(lowest_reward, lowest_reward * (horizon - first))
            values[episode] = min(values[episode], natural.rewards[steps][:first].sum() + rest)
    return values
