"""What SA-DQN adds to DQN, as one value: threat model, weight, inner solver, and the ramp of eps."""

from __future__ import annotations

from dataclasses import dataclass, field

from robustsuite.arguments import check_fields, check_kind, described
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf, Perturbation

from .regularizers import ConvexRegularizer, PGDRegularizer


@dataclass(frozen=True, slots=True, kw_only=True)
class EpsRamp:
    """The radius over training, as a share of its final value: 0, then a straight line, then 1.

    Source: Zhang et al. 2020, appendix (the ramp begins when exploration ends).

    Args:
        start, end: where the line begins and ends, as fractions of all timesteps, 0 <= start < end <= 1.

    Raises:
        InvalidInput: the fractions are not in that order.
    """

    start: float = 0.3
    end: float = 0.8

    def __post_init__(self) -> None:
        check_fields(self, "start", "end", least=0, most=1)
        if not self.start < self.end:
            raise InvalidInput(
                f"ramp goes from {self.start} to {self.end}; expected 0 <= start < end <= 1, "
                "fractions of all timesteps"
            )

    def share(self, fraction: float, *, start: float) -> float:
        """Give the share at a fraction of training for a ramp that began at `start` and takes as long as this one."""
        return min(1.0, max(0.0, (fraction - start) / (self.end - self.start)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """The state-adversarial part of SA-DQN's loss: ``kappa * mean_i max(worst margin_i, -c)``.

    Args:
        perturbation: B(s) at its final radius, in units of what the network eats.
        kappa: weight of the regulariser, >= 0; 0 gives plain DQN, to the bit.
        regularizer: how the worst margin is found: `ConvexRegularizer` or `PGDRegularizer` (or any `Regularizer`).
        ramp: the radius over training.
        c: margin beyond which a state costs nothing more, >= 0, in units of Q.

    Raises:
        InvalidInput: negative kappa or c, or something of another kind, such as a radius for a perturbation.
    """

    perturbation: Perturbation = field(default_factory=lambda: Linf(0.0))
    kappa: float = 0.0
    regularizer: ConvexRegularizer | PGDRegularizer = field(default_factory=ConvexRegularizer)
    ramp: EpsRamp = field(default_factory=EpsRamp)
    c: float = 1.0

    def __post_init__(self) -> None:
        check_kind(self.perturbation, Perturbation, "perturbation", "a threat model such as Linf(0.1)")
        check_fields(self, "kappa", "c", least=0)
        if not hasattr(self.regularizer, "worst_margin"):
            raise InvalidInput(
                f"regularizer is {described(self.regularizer)}; expected ConvexRegularizer() or PGDRegularizer()"
            )
        check_kind(self.ramp, EpsRamp, "ramp", "an EpsRamp(start=..., end=...)")
