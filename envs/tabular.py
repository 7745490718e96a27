"""The state-adversarial MDP on finite sets, solved exactly: the reference that the theory is checked against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robustsuite.arguments import check_fields, check_kind, check_number
from robustsuite.errors import InvalidInput

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TabularMDP:
    """A finite SA-MDP. Source: Zhang et al. 2020, definition 2.

    Args:
        transitions: p(s' | s, a), shape (states, actions, states); rows sum to 1.
        rewards: R(s, a, s'), shape (states, actions, states).
        shown: B(s) as booleans, shape (states, states): whether s^ (column) may be shown in place of s (row).
        gamma: discount, in [0, 1).

    Raises:
        InvalidInput: shapes that do not fit, rows that are no distributions, a state with nothing to show.
    """

    transitions: Array
    rewards: Array
    shown: npt.NDArray[np.bool_]
    gamma: float

    def __post_init__(self) -> None:
        for name in ("transitions", "rewards", "shown"):
            check_kind(getattr(self, name), np.ndarray, name, "a numpy array")
            if not np.isfinite(getattr(self, name)).all():
                raise InvalidInput(f"{name} has NaN or infinite values; expected finite numbers")
        check_fields(self, "gamma", least=0, below=1)
        states = len(self.transitions)
        if self.transitions.ndim != 3 or self.transitions.shape[2] != states:
            raise InvalidInput(
                f"transitions have shape {self.transitions.shape}; expected (states, actions, states)"
            )
        if self.rewards.shape != self.transitions.shape or self.shown.shape != (states, states):
            raise InvalidInput(
                f"rewards have shape {self.rewards.shape} and shown {self.shown.shape}; "
                f"expected {self.transitions.shape} and {(states, states)}"
            )
        if not np.allclose(self.transitions.sum(2), 1) or (self.transitions < 0).any():
            raise InvalidInput("transitions are no distributions; expected rows >= 0 with sum 1")
        if not self.shown.any(1).all():
            raise InvalidInput("a B(s) is empty; expected something to show at every state")

    def action_values(self, values: Array) -> Array:
        """Give ``sum_s' p(s'|s,a) [R(s,a,s') + gamma V(s')]``, shape (states, actions)."""
        expected: Array = np.einsum("sat,sat->sa", self.transitions, self.rewards + self.gamma * values)
        return expected

    def natural_operator(self, policy: Array, values: Array) -> Array:
        """Apply the Bellman operator of a policy (states, actions) without attack."""
        after: Array = (policy * self.action_values(values)).sum(1)
        return after

    def attacked_operator(self, policy: Array, values: Array) -> Array:
        """Apply the Bellman operator of a policy under its worst adversary. Source: Zhang et al. 2020, theorem 1."""
        played = self.action_values(values) @ policy.T  # [s, s^]: true state s, shown state s^
        worst: Array = np.where(self.shown, played, np.inf).min(1)
        return worst

    def natural_values(self, policy: Array) -> Array:
        """Give V of a policy exactly."""
        return self.values_under(policy, np.arange(len(policy)))

    def values_under(self, policy: Array, adversary: npt.NDArray[np.int64]) -> Array:
        """Give V of a policy under a fixed adversary exactly; `adversary[s]` is the state shown at s."""
        acted = policy[adversary]
        chain = np.einsum("sa,sat->st", acted, self.transitions)
        reward = np.einsum("sa,sat,sat->s", acted, self.transitions, self.rewards)
        return np.linalg.solve(np.eye(len(chain)) - self.gamma * chain, reward)

    def attacked_values(self, policy: Array, *, tolerance: float = 1e-12) -> Array:
        """Give V of a policy under its worst adversary, to `tolerance`, by iterating the contraction."""
        check_number("tolerance", tolerance, above=0)
        if not np.isfinite(policy).all():
            raise InvalidInput("policy has NaN or infinite values; expected probabilities")
        values = np.zeros(len(policy))
        while True:
            after = self.attacked_operator(policy, values)
            if np.abs(after - values).max() <= tolerance * max(1.0, float(np.abs(after).max())):
                return after
            values = after

    def gap_bound(self, policy: Array) -> float:
        """Bound ``max_s V(s) - V~(s)`` by the largest total variation between a policy and what it does when deceived.

        ``2 [1 + gamma / (1 - gamma)^2] max|R| * max_s max_{s^ in B(s)} D_TV(pi(.|s), pi(.|s^))``.

        Source: Zhang et al. 2020, theorem 5.
        """
        distance = np.abs(policy[:, None] - policy[None]).sum(2) / 2
        worst = float(np.where(self.shown, distance, 0.0).max())
        alpha = 2 * (1 + self.gamma / (1 - self.gamma) ** 2) * float(np.abs(self.rewards).max())
        return alpha * worst
