"""What all observation attacks share: the protocol, and the check of the budget."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_kind
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation

from ..q_function import QFunction

TOLERANCE = 1e-6


class Adversary(Protocol):
    """Chooses the shown state nu(s) in B(s) for a batch of true states. Source: Zhang et al. 2020, definition 1.

    Memoryless: what is shown depends on the present state and the generator only.
    """

    @property
    def name(self) -> str:
        """Give the name that tables show."""

    def __call__(
        self,
        q: QFunction,
        states: Float[Tensor, "batch *observation"],
        perturbation: Perturbation,
        *,
        generator: torch.Generator,
    ) -> Float[Tensor, "batch *observation"]:
        """Give the states to show to the agent with values `q`."""


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
