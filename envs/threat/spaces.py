"""What an attacked environment shows: the space of states, what the network eats, and the same grown by a radius."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces

from robustsuite.arguments import described
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import L1, L2, Linf, Perturbation, Scaled

from ..policies import Agent

State = npt.NDArray[np.float32]


def of_states(space: spaces.Space[Any], agent: Agent) -> spaces.Box:
    """Give the space of an agent's states for observations of `space`.

    Raises:
        InvalidInput: the agent does not take such observations.
    """
    try:
        example = agent.states(batched(space.sample()))
    except (RuntimeError, TypeError, KeyError, InvalidInput) as error:
        raise InvalidInput(
            f"the agent's states cannot be made of observations {type(space).__name__} of shape {space.shape}: "
            f"{(str(error).splitlines() or [''])[0]}"
        ) from None
    shape = tuple(example.shape[1:])
    if agent.preprocessing is None:
        assert isinstance(space, spaces.Box)
        return spaces.Box(space.low.astype(np.float32), space.high.astype(np.float32), dtype=np.float32)
    low, high = agent.preprocessing.limits
    return spaces.Box(low, high, shape=shape, dtype=np.float32)


def grown(states: spaces.Box, perturbation: Perturbation) -> spaces.Box:
    """Give the space of what may be shown of `states`: a shown state may lie outside the space of true ones."""
    ball = perturbation.ball if isinstance(perturbation, Scaled) else perturbation
    if not isinstance(ball, Linf | L2 | L1) or ball.radius == np.inf:
        return spaces.Box(-np.inf, np.inf, shape=states.shape, dtype=np.float32)
    if ball.clip is not None:
        return spaces.Box(*ball.clip, shape=states.shape, dtype=np.float32)
    radius = perturbation.around(torch.zeros(1, *states.shape)).upper[0].numpy()
    return spaces.Box(
        (states.low - radius).astype(np.float32), (states.high + radius).astype(np.float32), dtype=np.float32
    )


def check_ball(perturbation: object, states: spaces.Box) -> None:
    """Check that a threat model has the shape of the states.

    Raises:
        InvalidInput: it has another, or is no threat model.
    """
    if not isinstance(perturbation, Perturbation):
        raise InvalidInput(
            f"perturbation is {described(perturbation)}; expected a threat model such as agent.ball(0.1)"
        )
    ball = perturbation.ball if isinstance(perturbation, Scaled) else perturbation
    clip = getattr(ball, "clip", None)
    middle = 0.0 if clip is None else (clip[0] + clip[1]) / 2
    perturbation.around(torch.full((1, *states.shape), middle))


def batched(observation: Any) -> Any:
    """Give a batch of one observation: of an array, or of each part of a dict."""
    if isinstance(observation, dict):
        return {name: batched(part) for name, part in observation.items()}
    return np.asarray(observation)[None]
