"""The state of a stable-baselines3 DQN as a checkpoint: weights, optimiser, replay, counters and random streams.

Environments cannot be saved, so a restored agent begins a new episode; everything else goes on where it was. Nothing is
pickled. See `algorithms.saving` for agents without their replay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer

from robustsuite.errors import CheckpointError
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint

from ..algorithms.sa_dqn import SADQN

_KIND = "replay"
_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_COUNTERS = (
    *("num_timesteps", "_n_updates", "_n_calls", "_episode_num", "_total_timesteps"),
    *("exploration_rate", "_current_progress_remaining"),
)


def capture(agent: DQN) -> Checkpoint:
    """Give the whole state of an agent between two calls of its `train`.

    Raises:
        CheckpointError: the replay buffer is not the plain `ReplayBuffer`.
    """
    return checkpoints.join(
        policy=Checkpoint(tensors=dict(agent.policy.state_dict())),
        optimizer=checkpoints.flatten_optimizer(agent.policy.optimizer),
        replay=capture_replay(agent),
        counters=Checkpoint(state={name: getattr(agent, name) for name in _names(agent)}),
        libraries=checkpoints.flatten_global_random(),
        streams=checkpoints.flatten_generators(**_streams(agent)),
    )


def restore(agent: DQN, saved: Checkpoint) -> None:
    """Put the state of `capture` into a freshly made agent of the same settings; its next episode starts anew.

    Continue with ``agent.learn(total - agent.num_timesteps, reset_num_timesteps=False)``.

    Raises:
        CheckpointError: the state belongs to an agent of other settings.
    """
    assert agent.env is not None
    try:
        agent.policy.load_state_dict(saved.part("policy").tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint is of an agent with another network: {reason}") from None
    optimizer = saved.part("optimizer")
    # torch's optimisers keep the tensors that they are given and write into them.
    own = {name: tensor.clone() for name, tensor in optimizer.tensors.items()}
    checkpoints.restore_optimizer(agent.policy.optimizer, Checkpoint(tensors=own, state=optimizer.state))
    restore_replay(agent, saved.part("replay"))
    counters = saved.part("counters").state
    for name in _names(agent):
        setattr(agent, name, counters[name])
    # The first reset would seed the environments again; their streams are put back after it.
    agent.env.reset()
    streams = _streams(agent)
    checkpoints.restore_generators(saved.part("streams"), **streams)
    _put_back(agent, streams)
    checkpoints.restore_global_random(saved.part("libraries"))


def _names(agent: DQN) -> tuple[str, ...]:
    return (*_COUNTERS, "ramp_start") if isinstance(agent, SADQN) else _COUNTERS


def _streams(agent: DQN) -> dict[str, torch.Generator | np.random.Generator]:
    """Give the generators of actions, environments and the regulariser."""
    assert agent.env is not None
    streams: dict[str, torch.Generator | np.random.Generator] = {"actions": agent.action_space.np_random}
    for index, generator in enumerate(agent.env.get_attr("np_random")):
        streams[f"env{index}"] = generator
    if isinstance(agent, SADQN):
        streams["adversary"] = agent.adversary_generator
    return streams


def _put_back(agent: DQN, streams: dict[str, Any]) -> None:
    """Hand restored generators to environments that live in other processes."""
    assert agent.env is not None
    for index in range(agent.env.num_envs):
        agent.env.set_attr("np_random", streams[f"env{index}"], indices=index)


def _plain(agent: DQN) -> ReplayBuffer:
    buffer = agent.replay_buffer
    if type(buffer) is not ReplayBuffer or buffer.optimize_memory_usage:
        raise CheckpointError(
            f"the replay buffer is a {type(buffer).__name__}; expected the plain ReplayBuffer without "
            "optimize_memory_usage"
        )
    return buffer


def capture_replay(agent: DQN) -> Checkpoint:
    """Give the transitions of an agent's replay buffer.

    Raises:
        CheckpointError: it is not the plain `ReplayBuffer`.
    """
    buffer = _plain(agent)
    used = buffer.buffer_size if buffer.full else buffer.pos
    tensors = {name: torch.from_numpy(getattr(buffer, name)[:used].copy()) for name in _ARRAYS}
    return Checkpoint(tensors=tensors, state={"kind": _KIND, "pos": buffer.pos, "full": buffer.full})


def restore_replay(agent: DQN, saved: Checkpoint) -> None:
    """Put the transitions of `capture_replay` into an agent's replay buffer.

    Raises:
        CheckpointError: another kind of checkpoint, or transitions of another environment.
    """
    buffer = _plain(agent)
    if saved.state.get("kind") != _KIND:
        raise CheckpointError(f"checkpoint is of kind {saved.state.get('kind')!r}; expected a replay buffer")
    for name in _ARRAYS:
        array, values = getattr(buffer, name), saved.tensors[name].cpu().numpy()
        if len(values) > len(array) or values.shape[1:] != array.shape[1:]:
            raise CheckpointError(
                f"replay's {name} have shape {values.shape}; expected at most {array.shape}: "
                "the checkpoint is of an agent with another buffer or environment"
            )
        array[: len(values)] = values
    buffer.pos, buffer.full = int(saved.state["pos"]), bool(saved.state["full"])
