"""The state of an agent in training as a checkpoint: parameters, replay, statistics, counters and random streams.

It works for every algorithm of the suite and for the plain ones of stable-baselines3: parameters are those of
`get_parameters` (policy and every optimiser), counters those that the algorithm names. Environments cannot be saved, so a
restored agent begins a new episode; everything else goes on where it was. A rollout buffer (PPO) is not kept: between two
calls of `train` it is used up. Nothing is pickled. See `algorithms.saving` for agents without their replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from robustsuite.errors import CheckpointError
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint

from ..algorithms import state
from ..algorithms.robust import Robust

_COUNTERS = (
    *("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "_total_timesteps"),
    *("exploration_rate", "_current_progress_remaining"),
)


def capture(agent: BaseAlgorithm) -> Checkpoint:
    """Give the whole state of an agent between two calls of its `train`, such as where a rollout starts.

    Raises:
        CheckpointError: the replay buffer is of a kind that the suite does not know.
    """
    parts = {
        "parameters": state.capture_parameters(agent),
        "counters": Checkpoint(state={name: getattr(agent, name) for name in _counters(agent)}),
        "libraries": checkpoints.flatten_global_random(),
        "streams": checkpoints.flatten_generators(**_streams(agent)),
    }
    if _replays(agent):
        parts["replay"] = state.capture_replay(agent)
    normalizer = state.capture_normalizer(agent.env)
    if normalizer is not None:
        parts["normalizer"] = normalizer
    return checkpoints.join(**parts)


def restore(agent: BaseAlgorithm, saved: Checkpoint) -> None:
    """Put the state of `capture` into a freshly made agent of the same settings; its next episode starts anew.

    Continue with ``agent.learn(total - agent.num_timesteps, reset_num_timesteps=False)``.

    Raises:
        CheckpointError: the state belongs to an agent of other settings.
    """
    assert agent.env is not None
    names = saved.state.get("parts", ())
    normalizes = agent.get_vec_normalize_env() is not None
    if ("normalizer" in names) != normalizes:
        raise CheckpointError(
            f"the agent's environment is {'' if normalizes else 'not '}in a VecNormalize, unlike that of the checkpoint; "
            "expected the environment of the run that wrote it"
        )
    state.restore_parameters(agent, saved.part("parameters"))
    if _replays(agent):
        state.restore_replay(agent, saved.part("replay"))
    counters = saved.part("counters").state
    for name in _counters(agent):
        setattr(agent, name, counters[name])
    # The first reset would seed the environments again, and count as an observation: what it moves is put back after it.
    agent.env.reset()
    if normalizes:
        state.restore_normalizer(agent.env, saved.part("normalizer"))
    streams = _streams(agent)
    checkpoints.restore_generators(saved.part("streams"), **streams)
    _put_back(agent, streams)
    checkpoints.restore_global_random(saved.part("libraries"))


def _counters(agent: BaseAlgorithm) -> tuple[str, ...]:
    if isinstance(agent, Robust):
        return agent.COUNTERS
    return tuple(name for name in _COUNTERS if hasattr(agent, name))


def _replays(agent: BaseAlgorithm) -> bool:
    return getattr(agent, "replay_buffer", None) is not None


def _streams(agent: BaseAlgorithm) -> dict[str, torch.Generator | np.random.Generator]:
    """Give the generators of actions, environments and the inner problem."""
    assert agent.env is not None
    streams: dict[str, torch.Generator | np.random.Generator] = {"actions": agent.action_space.np_random}
    for index, generator in enumerate(agent.env.get_attr("np_random")):
        streams[f"env{index}"] = generator
    if isinstance(agent, Robust):
        streams["adversary"] = agent.adversary_generator
    return streams


def _put_back(agent: BaseAlgorithm, streams: dict[str, Any]) -> None:
    """Hand restored generators to environments that live in other processes."""
    assert agent.env is not None
    for index in range(agent.env.num_envs):
        agent.env.set_attr("np_random", streams[f"env{index}"], indices=index)
