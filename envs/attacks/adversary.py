"""What all observation attacks share: the protocols, the memoryless ones' base, and the check of the budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from robustsuite.arguments import check_kind
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.seeding import ExampleSeeds

from ..policies.policy import Policy
from ..policies.q_function import QFunction
from ..streams import Streams

if TYPE_CHECKING:
    from ..policies import Agent

TOLERANCE = 1e-6


@runtime_checkable
class Adversary(Protocol):
    """Chooses the shown state nu(s) in B(s): a frozen value. Source: Zhang et al. 2020, definition 1."""

    @property
    def name(self) -> str:
        """Give the name that tables show."""

    def start(self, policy: Policy, perturbation: Perturbation, streams: Streams) -> Attacker:
        """Give an attacker for as many environments as there are streams.

        Args:
            policy: under attack.
            perturbation: B(s), around what the network eats.
            streams: of random numbers, one for each environment.

        Raises:
            InvalidInput: the adversary cannot attack such a policy, or not in such a region.
        """


@runtime_checkable
class Preparation(Protocol):
    """Makes an adversary for one agent and one threat model: searches a rule, trains a critic or a learned adversary.

    A frozen value. What it makes never looks at the episodes that are reported: its own have other seeds.
    """

    @property
    def name(self) -> str:
        """Give the name that tables show; that of the adversary that is made."""

    def prepare(self, agent: Agent, perturbation: Perturbation, *, seed: int) -> Adversary:
        """Make the adversary.

        Args:
            agent: under attack.
            perturbation: B(s), around the agent's states.
            seed: of all that is random in making it, and of its own episodes.
        """


class Attacker(Protocol):
    """An adversary at work in several environments side by side, with its memory."""

    def show(
        self, states: Float[Tensor, "batch *state"], first: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch *state"]:
        """Give what is shown in place of the true states.

        Args:
            states: of all environments.
            first: whether an episode begins with this state.
        """


class Memoryless(ABC):
    """An adversary whose choice depends on the present state and its random numbers alone."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """Give the name that tables show."""

    @abstractmethod
    def shown(
        self,
        policy: Policy,
        states: Float[Tensor, "batch *state"],
        perturbation: Perturbation,
        seeds: ExampleSeeds,
    ) -> Float[Tensor, "batch *state"]:
        """Give the states to show."""

    def check(self, policy: Policy) -> None:  # noqa: B027  most attack every policy
        """Check that the adversary can attack a policy.

        Raises:
            InvalidInput: it cannot.
        """

    def start(self, policy: Policy, perturbation: Perturbation, streams: Streams) -> Attacker:
        """See `Adversary`."""
        check_kind(policy, Policy, "policy", "a policy such as agent.policy")
        check_kind(perturbation, Perturbation, "perturbation", "a threat model such as agent.ball(0.1)")
        self.check(policy)
        return _AtEachStep(self, policy, perturbation, streams)


@dataclass(frozen=True, slots=True)
class _AtEachStep:
    adversary: Memoryless
    policy: Policy
    perturbation: Perturbation
    streams: Streams

    def show(self, states: Tensor, first: Tensor) -> Tensor:
        return self.adversary.shown(self.policy, states, self.perturbation, self.streams.draw())


def check_values(adversary: Adversary, policy: Policy) -> QFunction:
    """Check that a policy takes the action of the largest value, for adversaries of such policies.

    Raises:
        InvalidInput: it does not.
    """
    if not isinstance(policy, QFunction):
        raise InvalidInput(
            f"adversary '{adversary.name}' attacks values of actions, and the policy is {policy.kind}; expected a "
            "QFunction: for continuous actions take MaximalActionDifference() or RobustSarsa(...)"
        )
    return policy


def ensure_inside(shown: Tensor, states: Tensor, perturbation: Perturbation, *, name: str) -> None:
    """Check that an adversary kept its budget.

    Raises:
        InvalidInput: another shape, or a shown state outside B(s).
    """
    check_kind(shown, Tensor, f"what adversary '{name}' showed", f"states of shape {tuple(states.shape)}")
    if shown.shape != states.shape:
        raise InvalidInput(
            f"adversary '{name}' showed states of shape {tuple(shown.shape)}; expected {tuple(states.shape)}"
        )
    inside = perturbation.around(states).contains(shown, tolerance=TOLERANCE)
    if not bool(inside.all()):
        row = int((~inside).nonzero()[0, 0])
        raise InvalidInput(
            f"adversary '{name}' left {perturbation.describe()} at state {row}; "
            "expected a shown state inside: end with perturbation.around(states).project(shown)"
        )
