"""What adversaries of continuous policies seek: actions that a critic believes to be worth little, and mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.attacks import Criterion
from robustsuite.attacks.criteria import BatchCriterion
from robustsuite.errors import InvalidInput

from ..policies.critics import ActionCritic
from ..policies.policy import Policy


class _NeverMet(BatchCriterion):
    """Something that is raised as far as it goes."""

    __slots__ = ()
    least_outputs: ClassVar[int] = 1

    def met(self, outputs: Tensor) -> Tensor:
        return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)

    def check_outputs(self, outputs: Tensor) -> None:
        """Any numbers will do."""


@dataclass(frozen=True, slots=True, eq=False)
class LeastWorth(_NeverMet):
    """The action of the shown state is worth little at the true one; the score is ``-Q(s, mu(s^))``.

    Args:
        critic: of actions.
        policy: whose outputs become actions.
        states: the true ones, s.
    """

    critic: ActionCritic
    policy: Policy
    states: Float[Tensor, "batch state"]

    def score(self, outputs: Tensor) -> Tensor:
        return -self.critic(self.states, self.policy.decide(outputs))

    def select(self, index: Tensor) -> LeastWorth:
        return LeastWorth(self.critic, self.policy, self.states[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.states) != count:
            raise InvalidInput(f"the criterion has {len(self.states)} states; expected {count}")


@dataclass(frozen=True, slots=True, eq=False)
class LowestOutput(_NeverMet):
    """A network of one output gives little; the score is ``-V(s^)``."""

    def score(self, outputs: Tensor) -> Tensor:
        return -outputs.squeeze(1)

    def select(self, index: Tensor) -> LowestOutput:
        return self

    def check_examples(self, count: int, device: torch.device) -> None:
        """It holds no data of examples."""


@dataclass(frozen=True, slots=True, eq=False)
class GreedyWorth(_NeverMet):
    """The greedy action of the shown state is worth little at the true one; the score is ``-Q(s, argmax Q(s^, .))``.

    It has no gradient: attacks raise a loss such as `softened` in its place.

    Args:
        values: Q(s, .), shape (batch, actions).
    """

    values: Float[Tensor, "batch actions"]

    def met(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(1) == self.values.argmin(1)

    def score(self, outputs: Tensor) -> Tensor:
        return -self.values.gather(1, outputs.argmax(1, keepdim=True)).squeeze(1)

    def raised(self, loss: object, outputs: Tensor) -> Tensor:
        assert callable(loss)
        raised: Tensor = loss(outputs, self.values)
        return raised

    def select(self, index: Tensor) -> GreedyWorth:
        return GreedyWorth(self.values[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.values) != count:
            raise InvalidInput(f"the criterion has values of {len(self.values)} states; expected {count}")


def softened(outputs: Float[Tensor, "batch actions"], values: Tensor) -> Float[Tensor, " batch"]:
    """Give ``-sum_a p_a Q(s, a)``, p the softmax of the shown state's values over their own spread.

    Source: Pattanaik et al. 2018, section 4: the expected worth of a stochastic policy made of Q.
    """
    spread = values.std(1, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)
    return -((outputs / spread).softmax(1) * values).sum(1)


@dataclass(frozen=True, slots=True, eq=False)
class Mixed(_NeverMet):
    """Two scores mixed, ``(1 - share) first + share second``.

    Args:
        first, second: criteria of the same states.
        share: of the second, in [0, 1].
    """

    first: Criterion
    second: Criterion
    share: float

    def score(self, outputs: Tensor) -> Tensor:
        return (1 - self.share) * self.first.score(outputs) + self.share * self.second.score(outputs)

    def select(self, index: Tensor) -> Mixed:
        return Mixed(self.first.select(index), self.second.select(index), self.share)

    def check_examples(self, count: int, device: torch.device) -> None:
        """Both are made for the same states by the adversary."""


@dataclass(frozen=True, slots=True, eq=False)
class Pushed(_NeverMet):
    """Actions go as far as they can along a direction of each state; the score is their product with it.

    Args:
        directions: shape (batch, coordinates).
    """

    directions: Float[Tensor, "batch coordinates"]

    def score(self, outputs: Tensor) -> Tensor:
        return (outputs * self.directions).sum(1)

    def select(self, index: Tensor) -> Pushed:
        return Pushed(self.directions[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.directions) != count:
            raise InvalidInput(f"the criterion has {len(self.directions)} directions; expected {count}")

    def check_outputs(self, outputs: Tensor) -> None:
        if outputs.shape[1:] != self.directions.shape[1:]:
            raise InvalidInput(
                f"directions have {self.directions.shape[1]} coordinates and actions {tuple(outputs.shape[1:])}; expected as "
                "many"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Directed(_NeverMet):
    """Actions move along a direction, and far: ``cos(d, direction) + |d|`` with ``d = (a - reference) / unit``.

    Args:
        reference: actions at the true states, shape (batch, coordinates).
        unit: what distances count in, shape (batch, coordinates), > 0.
        directions: shape (batch, coordinates).

    Source: Sun et al. 2022 (PA-AD), section 4.2, with weight 1.
    """

    reference: Tensor
    unit: Tensor
    directions: Tensor

    def score(self, outputs: Tensor) -> Tensor:
        moved = (outputs - self.reference) / self.unit
        # A length under a root has no slope at 0, where the true state is.
        length = moved.square().sum(1).add(1e-12).sqrt()
        along = (moved * self.directions).sum(1) / self.directions.norm(dim=1).clamp_min(1e-12)
        score: Tensor = along / length + length
        return score

    def select(self, index: Tensor) -> Directed:
        return Directed(self.reference[index], self.unit[index], self.directions[index])

    def check_examples(self, count: int, device: torch.device) -> None:
        if len(self.directions) != count:
            raise InvalidInput(f"the criterion has {len(self.directions)} directions; expected {count}")

    def check_outputs(self, outputs: Tensor) -> None:
        if outputs.shape[1:] != self.directions.shape[1:]:
            raise InvalidInput(
                f"directions have {self.directions.shape[1]} coordinates and actions {tuple(outputs.shape[1:])}; expected as "
                "many"
            )
