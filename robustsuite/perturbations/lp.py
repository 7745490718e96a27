"""Lp balls: `Linf`, `L2` and `L1`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from robustsuite.arguments import check_kind, check_number, described
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import features
from robustsuite.perturbations.ball import Ball
from robustsuite.perturbations.box import BoxRegion
from robustsuite.perturbations.extent import Extent, precise
from robustsuite.perturbations.features import PerFeature
from robustsuite.perturbations.perturbation import Perturbation


@dataclass(frozen=True, slots=True)
class _Lp(Perturbation):
    """An Lp ball of radius `eps` around each example, cut with the range `clip` of valid inputs.

    Args:
        eps: radius in input units, >= 0, inf for no limit but `clip`; or one finite number per feature, nested like an example (arrays
            and tensors are converted): then ``|| (x' - x) / eps ||_p <= 1``, and a feature with 0 stays as it is.
        clip: lowest and highest valid value, or None.

    Inputs of float16 and bfloat16 stay inside: their region is what these types hold of the ball.

    `around` takes a `unit` too, what `eps` counts in, for each feature of the batch: ``unit=x.abs()`` for relative radii.

    Raises:
        InvalidInput: a negative or NaN radius, an infinite one among others; an empty clip range.
    """

    eps: PerFeature
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", features.frozen(self.eps, "eps"))
        values = torch.as_tensor(self.eps, dtype=torch.float64)
        if self.eps != math.inf and not bool((torch.isfinite(values) & (values >= 0)).all()):
            raise InvalidInput(
                f"eps is {features.short(self.eps)}; expected finite numbers >= 0, in the input's units, or inf alone"
            )
        if self.clip is not None:
            object.__setattr__(self, "clip", _checked_clip(self.clip))

    def scaled(self, factor: float) -> _Lp:
        check_number("factor", factor, least=0)
        if factor == 0:  # of an endless radius too
            return replace(self, eps=features.mapped(self.eps, lambda value: 0.0))
        return replace(self, eps=features.mapped(self.eps, lambda value: value * factor))

    def describe(self) -> str:
        return f"{type(self).__name__}({features.short(self.eps)})"

    @property
    def norm(self) -> str:
        return type(self).__name__

    @property
    def radius(self) -> float:
        return features.largest(self.eps)

    def _placed(self, x: Tensor, unit: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Extent]:
        """Give the centre, the lower and upper ends, and the size around a batch."""
        features.check_finite(x)
        dtype = precise(x.dtype)
        if unit is not None:
            _check_unit(unit, x)
            unit = unit.to(dtype)
        if isinstance(self.eps, float):
            radius = torch.full((len(x),), self.eps, dtype=dtype, device=x.device)
        else:
            radius = torch.ones(len(x), dtype=dtype, device=x.device)
            each = features.spread(self.eps, x, "eps", dtype=dtype)
            unit = each if unit is None else each * unit
        endless = isinstance(self.eps, float) and self.eps == math.inf
        extent = Extent(radius, unit, self.clip, endless, endless)
        if self.clip is not None:
            low, high = self.clip
            slack = 1e-5 * (high - low)
            if bool(((x < low - slack) | (x > high + slack)).any()):
                raise InvalidInput(
                    f"x has values in [{float(x.min()):.4g}, {float(x.max()):.4g}], outside clip {self.clip}; "
                    "scale the data to the clip range, or give the clip range of the data"
                )
            # The ends belong to x itself: data scaled by 255 may be an ulp outside.
            return x.clamp(low, high), *extent.ends(x), extent
        return features.owned(x), *extent.ends(x), extent


def _checked_clip(clip: Any) -> tuple[float, float]:
    """Give a clip range as two floats.

    Raises:
        InvalidInput: not two finite numbers in rising order.
    """
    clip = tuple(clip.tolist()) if hasattr(clip, "tolist") and getattr(clip, "ndim", 0) == 1 else clip
    numbers = isinstance(clip, tuple | list) and all(
        isinstance(end, Real) and not isinstance(end, bool) and math.isfinite(end) for end in clip
    )
    if not numbers or len(clip) != 2 or not clip[0] < clip[1]:
        shown = clip if isinstance(clip, tuple) else described(clip)
        raise InvalidInput(
            f"clip is {shown}; expected (lowest, highest), finite numbers with lowest < highest"
        )
    return float(clip[0]), float(clip[1])


def _check_unit(unit: object, x: Tensor) -> None:
    way_out = f"a tensor of x's shape {tuple(x.shape)}, such as x.abs()"
    check_kind(unit, Tensor, "unit", way_out)
    assert isinstance(unit, Tensor)
    if unit.shape != x.shape or unit.device != x.device:
        raise InvalidInput(f"unit is {described(unit)} on {unit.device}; expected {way_out}, on {x.device}")
    if not bool((torch.isfinite(unit) & (unit >= 0)).all()):
        raise InvalidInput("unit has negative, NaN or infinite values; expected sizes >= 0, such as x.abs()")


@dataclass(frozen=True, slots=True)
class Linf(_Lp):
    __doc__ = _Lp.__doc__

    def around(
        self, x: Float[Tensor, "batch *input"], *, unit: Float[Tensor, "batch *input"] | None = None
    ) -> BoxRegion:
        return BoxRegion(*self._placed(x, unit))


@dataclass(frozen=True, slots=True)
class L2(_Lp):
    __doc__ = _Lp.__doc__

    def around(
        self, x: Float[Tensor, "batch *input"], *, unit: Float[Tensor, "batch *input"] | None = None
    ) -> Ball:
        return Ball(2.0, *self._placed(x, unit))


@dataclass(frozen=True, slots=True)
class L1(_Lp):
    __doc__ = _Lp.__doc__

    def around(
        self, x: Float[Tensor, "batch *input"], *, unit: Float[Tensor, "batch *input"] | None = None
    ) -> Ball:
        return Ball(1.0, *self._placed(x, unit))
