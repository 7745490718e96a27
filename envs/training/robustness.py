"""What a robust algorithm adds to its parent, as one value: threat model, weight, inner solver, and the ramp of eps."""

from __future__ import annotations

from dataclasses import dataclass, field

from robustsuite.arguments import check_fields, check_kind, described
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf, Perturbation
from robustsuite.training.schedules import Linear, SmoothedRamp

from ..regularizers import ConvexRegularizer, PGDRegularizer, Regularizer, SGLDRegularizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """The worst case in an algorithm's loss; for SA-DQN ``kappa * mean_i max(worst margin_i, -c)``.

    Args:
        perturbation: B(s) at its final radius, in units of what the network eats.
        kappa: weight of the worst case, >= 0; 0 gives the parent (plain DQN), to the bit.
        regularizer: how the worst margin is found: `ConvexRegularizer` or `PGDRegularizer` (or any `Regularizer`).
        ramp: factor on the radius by time steps (transitions, over all environments), from 0 to 1; it may end after the
            training does. Source: Zhang et al. 2020, appendix (it begins when exploration ends).
        c: margin beyond which a state costs nothing more, >= 0, in units of Q.

    Raises:
        InvalidInput: negative kappa or c, or something of another kind, such as a radius for a perturbation.
    """

    perturbation: Perturbation = field(default_factory=lambda: Linf(0.0))
    kappa: float = 0.0
    regularizer: ConvexRegularizer | PGDRegularizer | SGLDRegularizer = field(
        default_factory=ConvexRegularizer
    )
    ramp: Linear | SmoothedRamp = Linear(begin=10_000, length=20_000)
    c: float = 1.0

    def __post_init__(self) -> None:
        check_kind(self.perturbation, Perturbation, "perturbation", "a threat model such as Linf(0.1)")
        check_fields(self, "kappa", "c", least=0)
        if not isinstance(self.regularizer, Regularizer):
            raise InvalidInput(
                f"regularizer is {described(self.regularizer)}; expected ConvexRegularizer() or PGDRegularizer()"
            )
        check_kind(
            self.ramp, (Linear, SmoothedRamp), "ramp", "a ramp such as Linear(begin=24_000, length=8_000)"
        )
        last = self.ramp.begin + self.ramp.length
        ends = self.ramp(0.0), self.ramp(last)
        if ends[0] != 0 or abs(ends[1] - 1) > 1e-9:
            raise InvalidInput(
                f"ramp goes from {ends[0]:g} at the first time step to {ends[1]:g} at step {last:g}; expected from 0 to 1: "
                "Linear(begin=24_000, length=8_000) counts time steps"
            )
        if last < 2:
            raise InvalidInput(
                f"ramp ends at time step {last:g}; expected more: begin and length count time steps, such as "
                "Linear(begin=24_000, length=8_000)"
            )
