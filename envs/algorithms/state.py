"""What an algorithm of stable-baselines3 is made of, part by part, as checkpoints: parameters, replay, statistics.

Nothing is pickled. `saving` and `training.resume` put the parts together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize
from torch import optim

from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs import checkpoints
from robustsuite.runs.checkpoints import Checkpoint

from ..preprocessing import Normalizer

_KIND = "replay"
_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
_BUFFERS = (ReplayBuffer, NStepReplayBuffer, DictReplayBuffer)
_NORMALIZER = ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys")


def capture_parameters(agent: BaseAlgorithm) -> Checkpoint:
    """Give all that `get_parameters` names: the policy, and every optimiser."""
    parts, variables = {}, agent._get_torch_save_params()[1]
    for name in agent.get_parameters():
        held = recursive_getattr(agent, name)
        if isinstance(held, optim.Optimizer):
            parts[name] = checkpoints.flatten_optimizer(held)
        else:
            parts[name] = Checkpoint(tensors=dict(held.state_dict()))
    tensors = {name: recursive_getattr(agent, name).detach() for name in variables}
    return checkpoints.join(**parts, variables=Checkpoint(tensors=tensors))


def restore_parameters(agent: BaseAlgorithm, saved: Checkpoint) -> None:
    """Put the parameters of `capture_parameters` into an agent of the same settings.

    Raises:
        CheckpointError: they are of another network.
    """
    for name in agent.get_parameters():
        held, part = recursive_getattr(agent, name), saved.part(name)
        if isinstance(held, optim.Optimizer):
            # torch's optimisers keep the tensors that they are given and write into them.
            own = {key: tensor.clone() for key, tensor in part.tensors.items()}
            checkpoints.restore_optimizer(held, Checkpoint(tensors=own, state=part.state))
            continue
        try:
            held.load_state_dict(part.tensors)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"the file is of an agent with another network ({reason})") from None
    for name, tensor in saved.part("variables").tensors.items():
        with torch.no_grad():
            recursive_getattr(agent, name).copy_(tensor)


def reset_optimizers(agent: BaseAlgorithm) -> None:
    """Let every optimiser of an agent forget its moments."""
    for name in agent.get_parameters():
        held = recursive_getattr(agent, name)
        if isinstance(held, optim.Optimizer):
            held.state.clear()


def capture_replay(agent: BaseAlgorithm) -> Checkpoint:
    """Give the transitions of an agent's replay buffer.

    Raises:
        CheckpointError: it is of another kind than the suite's and stable-baselines3's own.
    """
    buffer = _replay(agent)
    used = buffer.buffer_size if buffer.full else buffer.pos
    tensors = {name: torch.from_numpy(array[:used].copy()) for name, array in _arrays_of(buffer).items()}
    kept = buffer.capture() if hasattr(buffer, "capture") else Checkpoint()
    state = {"kind": _KIND, "class": type(buffer).__name__, "pos": buffer.pos, "full": buffer.full}
    return checkpoints.join(transitions=Checkpoint(tensors=tensors, state=state), own=kept)


def restore_replay(agent: BaseAlgorithm, saved: Checkpoint) -> None:
    """Put the transitions of `capture_replay` into an agent's replay buffer.

    Raises:
        CheckpointError: another kind of checkpoint, or transitions of another environment.
    """
    buffer = _replay(agent)
    part = saved.part("transitions")
    if part.state.get("kind") != _KIND or part.state["class"] != type(buffer).__name__:
        raise CheckpointError(
            f"checkpoint is of a {part.state.get('class')!r}; expected transitions of a {type(buffer).__name__}"
        )
    for name, array in _arrays_of(buffer).items():
        if name not in part.tensors:
            raise CheckpointError(
                f"replay has no '{name}'; the checkpoint is of an agent with another buffer"
            )
        values = part.tensors[name].cpu().numpy()
        if len(values) > len(array) or values.shape[1:] != array.shape[1:]:
            raise CheckpointError(
                f"replay's {name} have shape {values.shape}; expected at most {array.shape}: "
                "the checkpoint is of an agent with another buffer or environment"
            )
        array[: len(values)] = values
    buffer.pos, buffer.full = int(part.state["pos"]), bool(part.state["full"])
    if hasattr(buffer, "restore"):
        buffer.restore(saved.part("own"))


def _replay(agent: Any) -> ReplayBuffer:
    buffer = agent.replay_buffer
    own = hasattr(buffer, "capture") and hasattr(buffer, "restore")
    if (type(buffer) not in _BUFFERS and not own) or buffer.optimize_memory_usage:
        raise CheckpointError(
            f"the replay buffer is a {type(buffer).__name__}; expected one of stable-baselines3's plain ones without "
            "optimize_memory_usage, or one with 'capture' and 'restore'"
        )
    assert isinstance(buffer, ReplayBuffer)
    return buffer


def _arrays_of(buffer: ReplayBuffer) -> dict[str, np.ndarray[Any, Any]]:
    """Give the arrays of transitions; those of a dict by the name of their part."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name in _ARRAYS:
        held: Any = getattr(buffer, name)
        if isinstance(held, dict):
            arrays |= {f"{name}/{key}": array for key, array in held.items()}
        else:
            arrays[name] = held
    return arrays


def capture_normalizer(env: VecEnv | None) -> Checkpoint | None:
    """Give the statistics and settings of the VecNormalize around environments; None: there is none."""
    wrapper = None if env is None else unwrap_vec_normalize(env)
    if wrapper is None:
        return None
    tensors: dict[str, torch.Tensor] = {}
    for name, statistics in _statistics(wrapper).items():
        tensors[f"{name}/mean"] = torch.as_tensor(statistics.mean)
        tensors[f"{name}/var"] = torch.as_tensor(statistics.var)
        tensors[f"{name}/count"] = torch.as_tensor(statistics.count, dtype=torch.float64)
    return Checkpoint(tensors=tensors, state={name: getattr(wrapper, name) for name in _NORMALIZER})


def restore_normalizer(env: VecEnv, saved: Checkpoint | None) -> VecEnv:
    """Put statistics into the VecNormalize around environments; where there is none, put one around them.

    Raises:
        CheckpointError: the environments normalise and the agent was trained without, or with other statistics.
    """
    wrapper = unwrap_vec_normalize(env)
    if saved is None:
        if wrapper is not None and wrapper.norm_obs:
            raise CheckpointError(
                "the environment is in a VecNormalize and the agent was trained without; expected the environment itself"
            )
        return env
    if wrapper is None:
        wrapper = VecNormalize(env, **saved.state)
        env = wrapper
    for name in _NORMALIZER:
        setattr(wrapper, name, saved.state[name])
    for name, statistics in _statistics(wrapper).items():
        try:
            mean, var = (saved.tensors[f"{name}/{part}"].cpu().numpy() for part in ("mean", "var"))
        except KeyError:
            mean = var = np.empty(0)
        if np.shape(mean) != np.shape(statistics.mean):
            raise CheckpointError(
                f"statistics of the {name} have another shape; expected those of the environment that the agent was "
                "trained on"
            )
        statistics.mean, statistics.var = mean.copy(), var.copy()
        statistics.count = float(saved.tensors[f"{name}/count"])
    return env


def normalizer_of(saved: Checkpoint) -> Normalizer | None:
    """Give captured statistics as an agent's preprocessing; None: observations are not normalised.

    Raises:
        InvalidInput: statistics of a dict of observations.
    """
    if not saved.state["norm_obs"]:
        return None
    if "observations/mean" not in saved.tensors:
        raise InvalidInput("the VecNormalize has statistics of a dict; expected those of vectors")
    mean, var = (saved.tensors[f"observations/{part}"].double() for part in ("mean", "var"))
    scale = (var + saved.state["epsilon"]).sqrt()
    return Normalizer(
        mean=tuple(mean.tolist()), scale=tuple(scale.tolist()), limit=float(saved.state["clip_obs"])
    )


def _statistics(wrapper: VecNormalize) -> dict[str, RunningMeanStd]:
    held: dict[str, RunningMeanStd] = {"rewards": wrapper.ret_rms}
    if wrapper.norm_obs:
        shown: Any = wrapper.obs_rms
        if isinstance(shown, dict):
            held |= {f"observations/{key}": statistics for key, statistics in shown.items()}
        else:
            held["observations"] = shown
    return held
