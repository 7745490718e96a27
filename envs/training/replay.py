"""Prioritised replay: transitions that surprised are drawn more often, and count less for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from robustsuite.arguments import check_fields, check_number
from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.runs.checkpoints import Checkpoint
from robustsuite.training.schedules import Linear, Schedule, check_shares


@dataclass(frozen=True, slots=True, kw_only=True)
class Prioritized:
    """How replay goes by priorities.

    Args:
        alpha: power of the priorities, in [0, 1]; 0 draws uniformly.
        beta: power of the weights of importance by time steps, in [0, 1]; 1 makes up for the draws in full.
        floor: added to each absolute TD error, > 0, so that nothing is never drawn again.

    Raises:
        InvalidInput: a number outside its range.

    Source: Schaul et al. 2016, section 3.3 and 3.4; alpha and beta of SA-DQN's runs (Zhang et al. 2020).
    """

    alpha: float = 0.5
    beta: Schedule = Linear(start=0.4, end=1.0, length=100_000)
    floor: float = 1e-5

    def __post_init__(self) -> None:
        check_fields(self, "alpha", least=0, most=1)
        check_fields(self, "floor", above=0)
        check_shares("beta", self.beta)


class SumTree:
    """Priorities whose prefix sums are found in ``log2(count)`` steps, many at once.

    Node i has the children 2 i and 2 i + 1; the leaves stand last.

    Args:
        count: of leaves, >= 1.
    """

    def __init__(self, count: int) -> None:
        check_number("count", count, integer=True, least=1)
        self._first = 1 << (count - 1).bit_length()
        self._nodes = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """Give the sum of all priorities."""
        return float(self._nodes[1])

    def __getitem__(self, leaves: Any) -> npt.NDArray[np.float64]:
        """Give the priorities of leaves."""
        values: npt.NDArray[np.float64] = self._nodes[self._first + np.asarray(leaves)]
        return values

    def set(self, leaves: npt.NDArray[np.int64], priorities: npt.NDArray[np.floating]) -> None:
        """Give leaves their priorities, >= 0; where a leaf stands twice, the last one counts."""
        at = self._first + leaves
        self._nodes[at] = priorities
        while len(at) and at[0] > 1:
            at = np.unique(at >> 1)
            # Sums are made anew from both children, so that no rounding error adds up.
            self._nodes[at] = self._nodes[2 * at] + self._nodes[2 * at + 1]

    def find(self, sums: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Give for each number in [0, total) the leaf whose prefix sum first exceeds it."""
        at, left = np.ones(len(sums), dtype=np.int64), sums.copy()
        while at[0] < self._first:
            at = 2 * at
            below = self._nodes[at]
            # Rounding may lead to an empty right half; the left one then is not.
            right = (left >= below) & (self._nodes[at + 1] > 0)
            left = np.where(right, left - below, left)
            at = at + right
        return at - self._first


class PrioritizedSamples(NamedTuple):
    """Transitions of `ReplayBufferSamples` with what priorities need.

    Attributes:
        weights: of importance, the largest of a batch 1, shape (batch,).
        places: where the transitions stand, for `PrioritizedReplayBuffer.update`.
    """

    observations: Tensor
    actions: Tensor
    next_observations: Tensor
    dones: Tensor
    rewards: Tensor
    discounts: Tensor | None
    weights: Tensor
    places: npt.NDArray[np.int64]


class PrioritizedReplayBuffer(ReplayBuffer):
    """Draws transition i with probability ``p_i^alpha / sum_j p_j^alpha``, by equal parts of the sum.

    A new transition has the largest priority so far, so that it is drawn soon. Draws come from numpy's global stream, as in
    the parent.

    Source: Schaul et al. 2016 (proportional variant), algorithm 1.

    Args:
        buffer_size, observation_space, action_space, device, n_envs, optimize_memory_usage, handle_timeout_termination: of
            the parent; the memory cannot be optimised.
        alpha: power of the priorities, in [0, 1].
        floor: added to each absolute TD error, > 0.

    Raises:
        InvalidInput: a number outside its range, observations that are a Dict, or `optimize_memory_usage`.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        alpha: float = 0.5,
        floor: float = 1e-5,
    ) -> None:
        check_number("alpha", alpha, least=0, most=1)
        check_number("floor", floor, above=0)
        if optimize_memory_usage or isinstance(observation_space, spaces.Dict):
            raise InvalidInput(
                "prioritised replay got a Dict of observations or optimize_memory_usage; expected a Box, and whole memory"
            )
        super().__init__(
            buffer_size,
            observation_space,
            action_space,
            device,
            n_envs=n_envs,
            handle_timeout_termination=handle_timeout_termination,
        )
        self.alpha, self.floor = alpha, floor
        self.tree = SumTree(self.buffer_size * self.n_envs)
        self._largest = 1.0

    def add(self, *args: Any, **options: Any) -> None:
        """Keep one transition of each environment. See the parent."""
        places = self.pos * self.n_envs + np.arange(self.n_envs)
        super().add(*args, **options)
        self.tree.set(places, np.full(self.n_envs, self._largest**self.alpha))

    def sample(  # type: ignore[override]
        self, batch_size: int, env: VecNormalize | None = None, *, beta: float = 1.0
    ) -> PrioritizedSamples:
        """Draw transitions.

        Args:
            batch_size: >= 1.
            env: normalises observations and rewards.
            beta: power of the weights, in [0, 1].
        """
        total, count = self.tree.total, self.size() * self.n_envs
        sums = (np.arange(batch_size) + np.random.random(batch_size)) * (total / batch_size)
        places = self.tree.find(np.minimum(sums, np.nextafter(total, 0)))
        weights = (count * self.tree[places] / total) ** -beta
        rows, columns = places // self.n_envs, places % self.n_envs
        done = self.dones[rows, columns] * (1 - self.timeouts[rows, columns])
        shown, follows, actions, dones, rewards, weight = map(
            self.to_torch,
            (
                self._normalize_obs(self.observations[rows, columns], env),
                self._normalize_obs(self.next_observations[rows, columns], env),
                self.actions[rows, columns],
                done[:, None],
                self._normalize_reward(self.rewards[rows, columns][:, None], env),
                (weights / weights.max()).astype(np.float32),
            ),
        )
        return PrioritizedSamples(shown, actions, follows, dones, rewards, None, weight, places)

    def update(self, places: npt.NDArray[np.int64], errors: npt.NDArray[np.floating]) -> None:
        """Give transitions the priority of their TD errors.

        Args:
            places: from `sample`.
            errors: finite, of any sign, shape (batch,).
        """
        priorities = np.abs(errors, dtype=np.float64) + self.floor
        self._largest = max(self._largest, float(priorities.max()))
        self.tree.set(places, priorities**self.alpha)

    def capture(self) -> Checkpoint:
        """Give the priorities, for `algorithms.state`."""
        leaves = np.arange((self.buffer_size if self.full else self.pos) * self.n_envs)
        return Checkpoint(
            tensors={"priorities": torch.from_numpy(self.tree[leaves].copy())},
            state={"largest": self._largest},
        )

    def restore(self, saved: Checkpoint) -> None:
        """Put the priorities of `capture` back, after the transitions.

        Raises:
            CheckpointError: they are of another number of transitions.
        """
        values = saved.tensors["priorities"].cpu().numpy()
        count = (self.buffer_size if self.full else self.pos) * self.n_envs
        if values.shape != (count,):
            raise CheckpointError(
                f"replay has priorities of shape {values.shape} for {count} transitions; the checkpoint is of an agent with "
                "another number of environments"
            )
        self.tree.set(np.arange(count), values)
        self._largest = float(saved.state["largest"])
