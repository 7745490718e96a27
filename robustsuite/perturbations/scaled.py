"""Radii that count in a unit of each feature, such as its standard deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_kind
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import features
from robustsuite.perturbations.extent import precise
from robustsuite.perturbations.features import PerFeature
from robustsuite.perturbations.lp import L1, L2, Linf
from robustsuite.perturbations.perturbation import Perturbation
from robustsuite.perturbations.region import Region


@dataclass(frozen=True, slots=True)
class Scaled(Perturbation):
    """An Lp ball whose radius counts in a unit for each feature: ``|| (x' - x) / (eps * unit) ||_p <= 1``.

    Features of different units (metres, radians) have no common radius: give the standard deviation of each as its unit.
    A feature whose unit is 0 stays as it is.

    Args:
        ball: `Linf`, `L2` or `L1`; its radius counts in units, its clip range in input units.
        unit: finite numbers >= 0, nested like an example (arrays and tensors are converted), or one for all.
        name: of the unit, in tables.

    Raises:
        InvalidInput: another kind of ball, a negative, infinite or NaN unit, or radii and units of different shapes.

    Example:
        >>> threat = Scaled(Linf(0.1), unit=(2.0, 0.5), name="std")
        >>> threat.describe(), threat.in_input_units()
        ('Linf_std(0.1)', Linf(eps=(0.2, 0.05), clip=None))
    """

    ball: Linf | L2 | L1
    unit: PerFeature
    name: str = "unit"

    def __post_init__(self) -> None:
        check_kind(self.ball, (Linf, L2, L1), "ball", "an Lp ball such as Linf(0.1)")
        check_kind(self.name, str, "name", "the unit's name, such as 'std'")
        object.__setattr__(self, "unit", features.frozen(self.unit, "unit"))
        values = torch.as_tensor(self.unit, dtype=torch.float64)
        if not bool((torch.isfinite(values) & (values >= 0)).all()):
            raise InvalidInput(
                f"unit is {features.short(self.unit)}; expected finite numbers >= 0, such as standard deviations"
            )
        if self.ball.eps != math.inf:
            self.in_input_units()

    def in_input_units(self) -> Linf | L2 | L1:
        """Give the same threat model with its radius in input units.

        Raises:
            InvalidInput: radii and units of different shapes, or an endless radius in different units.
        """
        eps, unit = (torch.as_tensor(value, dtype=torch.float64) for value in (self.ball.eps, self.unit))
        try:
            return replace(self.ball, eps=eps * unit)
        except RuntimeError:
            raise InvalidInput(
                f"unit has shape {tuple(unit.shape)} and the radius shape {tuple(eps.shape)}; expected the shape of one "
                "example, or a number for all features"
            ) from None

    def around(self, x: Float[Tensor, "batch *input"]) -> Region:
        features.check_finite(x)
        return self.ball.around(x, unit=features.spread(self.unit, x, "unit", dtype=precise(x.dtype)))

    def scaled(self, factor: float) -> Scaled:
        inner = self.ball.scaled(factor)
        assert isinstance(inner, Linf | L2 | L1)
        return replace(self, ball=inner)

    def describe(self) -> str:
        return f"{self.norm}({features.short(self.ball.eps)})"

    @property
    def norm(self) -> str:
        return f"{self.ball.norm}_{self.name}"

    @property
    def radius(self) -> float:
        """The radius (the largest, if it differs by feature), in units."""
        return self.ball.radius
