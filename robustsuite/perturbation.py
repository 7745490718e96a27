"""Threat models: what an adversary may do to an input.

A `Perturbation` is a frozen, hashable description (``Linf(8/255, clip=(0, 1))``). Its `around` binds it to a
batch and gives a `Region`: the set of allowed inputs for each example. Attacks, bounds and RL adversaries all
take these two.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite import features, norms, seeding
from robustsuite.arguments import check_kind, check_number, described
from robustsuite.errors import InvalidInput
from robustsuite.features import PerFeature
from robustsuite.norms import pairing, pairing_of_sizes

Take = Callable[[Tensor], Tensor]

_BISECTIONS = 40


class Region(ABC):
    """The allowed inputs around a batch of examples. Made by `Perturbation.around`.

    Attributes:
        center: the clean examples, shape (batch, *input).
        lower, upper: the interval hull, shape (batch, *input).
    """

    center: Tensor
    lower: Tensor
    upper: Tensor

    @property
    def is_box(self) -> bool:
        """Whether the region equals its interval hull."""
        return False

    @property
    def is_symmetric(self) -> bool:
        """Whether all examples have the same region about their centres, and -d belongs to it if d does."""
        return False

    @property
    def moves_groups(self) -> bool:
        """Whether features move together, so that `minimum` needs a coefficient for every one of them."""
        return False

    @abstractmethod
    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Bring `x` into the region (the nearest point where the set is a plain ball or box)."""

    @abstractmethod
    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        """Draw one point per example, uniformly (before clipping), each from its own seed."""

    def sample(self, *, generator: torch.Generator | None = None) -> Float[Tensor, "batch *input"]:
        """Draw one point per example, uniformly (before clipping)."""
        seeds = seeding.example_seeds(len(self.center), generator=generator)
        return self.sample_seeded(seeds.to(self.center.device))

    @abstractmethod
    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        """Give the distance of `x` to the centre, in the perturbation's norm and in input units."""

    @abstractmethod
    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Give the steepest step along `gradient` whose length is the region's radius."""

    @abstractmethod
    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        """Give the least value of the linear forms ``sum(a * x)`` for x in the region.

        Args:
            a: coefficients; the axes from the third on are those of `take`'s result from the second on. Where the
                region `moves_groups`, they are those of the whole input, in its order.
            take: picks, from a tensor of shape (batch, *input), the entries that the coefficients
                belong to, as a tensor of shape (rows or 1, *form), with zeros where there is none.

        Returns:
            Shape (rows, specs); one row per example where the examples share the coefficients (rows = 1).

        Source: dual norms; with a clip box the exact solutions of the two convex programmes (see `Ball`).
        """

    def minimum_of_both(
        self, a: Float[Tensor, "rows specs *form"], take: Take
    ) -> Float[Tensor, "all_rows both"]:
        """Give the least values of the forms and, after them, those of their negations: arguments as for `minimum`."""
        return self.minimum(torch.cat([a, -a], 1), take)

    @abstractmethod
    def select(self, index: Tensor) -> Region:
        """Keep the examples that `index` (integers or booleans) picks."""

    def contains(
        self, x: Float[Tensor, "batch *input"], *, tolerance: float = 1e-6
    ) -> Bool[Tensor, " batch"]:
        """Say for each example whether `x` lies in the region, up to `tolerance` relative to its size."""
        slack = tolerance * (1 + self.upper.abs().maximum(self.lower.abs()))
        inside = (x >= self.lower - slack) & (x <= self.upper + slack)
        return norms.flat(inside).all(1)

    def minimizer_of(self, a: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        """Give a point of the region with a small value of ``sum(a * x)`` (the minimiser for boxes and balls)."""
        return self.project(self.center + self.ascent(-a))


class BoxRegion(Region):
    """Lower and upper end for each feature. Linf balls, clipped or not, are boxes."""

    def __init__(self, center: Tensor, lower: Tensor, upper: Tensor) -> None:
        self.center, self.lower, self.upper = center, lower, upper
        self._halves: tuple[Tensor, Tensor] | None = None  # every backward pass asks for them

    @property
    def is_box(self) -> bool:
        return True

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return torch.clamp(x, self.lower, self.upper)

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        unit = norms.sample(seeds, self.lower.shape[1:].numel(), torch.inf, dtype=self.lower.dtype)
        return self.project(
            (self.lower + self.upper) / 2 + unit.view_as(self.lower) * (self.upper - self.lower) / 2
        )

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        return norms.flat(x - self.center).abs().amax(1)

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return gradient.sign() * torch.maximum(self.upper - self.center, self.center - self.lower)

    def minimizer_of(self, a: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        return torch.where(a >= 0, self.lower, self.upper)

    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        middle, radius = self._middle_and_radius(a, take)
        return middle - radius

    def minimum_of_both(
        self, a: Float[Tensor, "rows specs *form"], take: Take
    ) -> Float[Tensor, "all_rows both"]:
        middle, radius = self._middle_and_radius(a, take)
        return torch.cat([middle - radius, -middle - radius], 1)

    def _middle_and_radius(self, a: Tensor, take: Take) -> tuple[Tensor, Tensor]:
        if self._halves is None or torch.is_grad_enabled():
            self._halves = (self.lower + self.upper) / 2, (self.upper - self.lower) / 2
        middle, radius = (take(half).unsqueeze(1) for half in self._halves)
        return pairing(a, middle), pairing_of_sizes(a, radius)

    def select(self, index: Tensor) -> BoxRegion:
        return BoxRegion(self.center[index], self.lower[index], self.upper[index])


class Ball(Region):
    """A scaled Lp ball, p in {1, 2}: all x with ``|| (x - center) / scale ||_p <= 1``, within the clip box.

    `minimum` is exact with the clip box too. For p = 2 it evaluates the Lagrangian dual at a multiplier found
    by bisection, which is a lower bound at any multiplier, so that no rounding of the search can break it; for
    p = 1 it spends the radius greedily on the largest coefficients, each up to its room in the box.
    """

    def __init__(
        self, p: float, center: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, *, clipped: bool
    ) -> None:
        self.p, self.center, self.scale, self.clipped = p, center, scale, clipped
        self.lower, self.upper = lower, upper

    @property
    def is_symmetric(self) -> bool:
        return not self.clipped

    def _unit(self, x: Tensor) -> Tensor:
        delta, scale = norms.flat(x - self.center), norms.flat(self.scale)
        return torch.where(scale > 0, delta / torch.where(scale > 0, scale, 1.0), 0.0)

    def _from_unit(self, z: Tensor) -> Tensor:
        x = self.center + (z * norms.flat(self.scale)).view_as(self.center)
        return torch.clamp(x, self.lower, self.upper)

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        if not self.clipped:
            return self._from_unit(norms.project(self._unit(x), self.p))
        # Clipping first loses less of the ball's radius; the centre lies in the box, so both hold at the end.
        return self._from_unit(norms.project(self._unit(torch.clamp(x, self.lower, self.upper)), self.p))

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        return self._from_unit(
            norms.sample(seeds, self.center.shape[1:].numel(), self.p, dtype=self.center.dtype)
        )

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        return norms.norm(norms.flat(x - self.center), self.p)

    def contains(
        self, x: Float[Tensor, "batch *input"], *, tolerance: float = 1e-6
    ) -> Bool[Tensor, " batch"]:
        # Rounding of x itself shows in units of the radius.
        scale = norms.flat(self.scale)
        floor = torch.where(scale > 0, scale, torch.inf).amin(1)
        slack = tolerance * (1 + norms.flat(self.center).abs().amax(1) / floor)
        return super().contains(x, tolerance=tolerance) & (norms.norm(self._unit(x), self.p) <= 1 + slack)

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        scale = norms.flat(self.scale)
        g = norms.flat(gradient) * scale
        if self.p == 2:
            length = norms.norm(g, 2).unsqueeze(1)
            z = torch.where(length > 0, g / torch.where(length > 0, length, 1.0), 0.0)
        else:
            # One coordinate at a time is steepest but slow: share the step among the largest twentieth
            # (Tramer and Boneh 2019, section 3.1, use a quantile of the same order).
            count = max(1, g.shape[1] // 20)
            top = g.abs().topk(count, dim=1)
            z = torch.zeros_like(g).scatter(1, top.indices, g.gather(1, top.indices).sign() / count)
        return (z * scale).view_as(gradient)

    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        center, scale = (norms.flat(take(t)).unsqueeze(1) for t in (self.center, self.scale))
        a = norms.flat(a, 2)
        at_center, slope = pairing(a, center), a * scale
        if not self.clipped:
            return at_center - norms.norm(slope, norms.dual(self.p))
        safe = torch.where(scale > 0, scale, 1.0)
        room_down, room_up = (
            torch.where(scale > 0, norms.flat(take(end)).unsqueeze(1) - center, 0.0) / safe
            for end in (self.lower, self.upper)
        )
        least = _least_l2_in_box if self.p == 2 else _least_l1_in_box
        return at_center + least(slope, room_down, room_up)

    def select(self, index: Tensor) -> Ball:
        parts = (t[index] for t in (self.center, self.scale, self.lower, self.upper))
        return Ball(self.p, *parts, clipped=self.clipped)


def _least_l2_in_box(slope: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Give min slope.z over ``||z||_2 <= 1, low <= z <= high`` (low <= 0 <= high), from below."""
    corner = torch.where(slope >= 0, low, high)
    with torch.no_grad():
        # The answer is clip(-t slope) for the t at which its norm is 1: search log t.
        size = norms.norm(slope, 2).clamp(min=torch.finfo(slope.dtype).tiny)
        most = math.log(torch.finfo(slope.dtype).max) - 0.5  # a slope of zero would let t overflow
        small, large = -size.log(), -size.log()
        for _ in range(_BISECTIONS):
            longer = (large + 1).clamp(max=most)
            large = torch.where(_clipped_norm(slope, large, low, high) < 1, longer, large)
        for _ in range(_BISECTIONS):
            middle = (small + large) / 2
            inside = _clipped_norm(slope, middle, low, high) < 1
            small, large = torch.where(inside, middle, small), torch.where(inside, large, middle)
        t = large.exp().unsqueeze(-1)
        z = torch.clamp(-t * slope, low, high)
    dual = (slope * z).sum(-1) + (z.square().sum(-1) - 1) / (2 * t.squeeze(-1))
    # The corner of the box is the answer when it lies in the ball.
    return torch.where(norms.norm(corner, 2) <= 1, (slope * corner).sum(-1), dual)


def _clipped_norm(slope: Tensor, log_t: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return norms.norm(torch.clamp(-log_t.exp().unsqueeze(-1) * slope, low, high), 2)


def _least_l1_in_box(slope: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Give min slope.z over ``||z||_1 <= 1, low <= z <= high`` (low <= 0 <= high): greedy, exact."""
    gain, order = slope.abs().sort(dim=-1, descending=True)
    room = torch.where(slope >= 0, -low, high.expand_as(slope)).gather(-1, order)
    spent_before = room.cumsum(-1) - room
    spend = torch.minimum(room, (1 - spent_before).clamp(min=0))
    return -(gain * spend).sum(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Perturbation(ABC):
    """A threat model, independent of any example."""

    @abstractmethod
    def around(self, x: Float[Tensor, "batch *input"]) -> Region:
        """Bind the threat model to a batch.

        Raises:
            InvalidInput: `x` holds NaN or infinity, lies outside the clip range, or does not have
                the shape of a per-feature radius.
        """

    @abstractmethod
    def scaled(self, factor: float) -> Perturbation:
        """Give the same threat model with its radius multiplied by `factor` >= 0."""

    @abstractmethod
    def describe(self) -> str:
        """Give a short text for tables, such as ``Linf(0.03)``."""


@dataclass(frozen=True, slots=True)
class _Lp(Perturbation):
    """An Lp ball of radius `eps` around each example, cut with the range `clip` of valid inputs.

    Args:
        eps: radius in input units, finite and >= 0; or one number per feature, nested like an example (arrays
            and tensors are converted): then ``|| (x' - x) / eps ||_p <= 1``, and a feature with 0 stays as it is.
        clip: lowest and highest valid value, or None.

    `around` takes a `unit` too, what `eps` counts in, for each feature of the batch: ``unit=x.abs()`` for relative radii.

    Raises:
        InvalidInput: a negative, infinite or NaN radius; an empty clip range.
    """

    eps: PerFeature
    clip: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", features.frozen(self.eps, "eps"))
        values = torch.as_tensor(self.eps, dtype=torch.float64)
        if not bool((torch.isfinite(values) & (values >= 0)).all()):
            raise InvalidInput(
                f"eps is {features.short(self.eps)}; expected finite numbers >= 0, in the input's units"
            )
        if self.clip is not None:
            object.__setattr__(self, "clip", _checked_clip(self.clip))

    def scaled(self, factor: float) -> _Lp:
        check_number("factor", factor, least=0)
        return replace(self, eps=features.mapped(self.eps, lambda value: value * factor))

    def describe(self) -> str:
        return f"{type(self).__name__}({features.short(self.eps)})"

    def _ends(self, x: Tensor, unit: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features.check_finite(x)
        scale = features.spread(self.eps, x, "eps")
        if unit is not None:
            _check_unit(unit, x)
            scale = scale * unit
        lower, upper = x - scale, x + scale
        if self.clip is not None:
            low, high = self.clip
            slack = 1e-5 * (high - low)
            if bool(((x < low - slack) | (x > high + slack)).any()):
                raise InvalidInput(
                    f"x has values in [{float(x.min()):.4g}, {float(x.max()):.4g}], outside clip {self.clip}; "
                    "scale the data to the clip range, or give the clip range of the data"
                )
            lower, upper = lower.clamp(low, high), upper.clamp(low, high)
            return x.clamp(low, high), scale, lower, upper  # data scaled by 255 may be an ulp outside
        return features.owned(x), scale, lower, upper


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
        center, _, lower, upper = self._ends(x, unit)
        return BoxRegion(center, lower, upper)


@dataclass(frozen=True, slots=True)
class L2(_Lp):
    __doc__ = _Lp.__doc__

    def around(
        self, x: Float[Tensor, "batch *input"], *, unit: Float[Tensor, "batch *input"] | None = None
    ) -> Ball:
        center, scale, lower, upper = self._ends(x, unit)
        return Ball(2.0, center, scale, lower, upper, clipped=self.clip is not None)


@dataclass(frozen=True, slots=True)
class L1(_Lp):
    __doc__ = _Lp.__doc__

    def around(
        self, x: Float[Tensor, "batch *input"], *, unit: Float[Tensor, "batch *input"] | None = None
    ) -> Ball:
        center, scale, lower, upper = self._ends(x, unit)
        return Ball(1.0, center, scale, lower, upper, clipped=self.clip is not None)


@dataclass(frozen=True, slots=True)
class Box(Perturbation):
    """The same box for every example: each feature in [lower, upper], whatever the clean value.

    Args:
        lower, upper: numbers, or nested tuples (arrays, tensors) of the shape of one example.

    Raises:
        InvalidInput: lower > upper somewhere, or NaN or infinite ends.
    """

    lower: PerFeature
    upper: PerFeature

    def __post_init__(self) -> None:
        object.__setattr__(self, "lower", features.frozen(self.lower, "lower"))
        object.__setattr__(self, "upper", features.frozen(self.upper, "upper"))
        features.check_ends(self.lower, self.upper, ("lower", "upper"), "box")

    def around(self, x: Float[Tensor, "batch *input"]) -> BoxRegion:
        features.check_finite(x)
        lower, upper = (features.spread(end, x, "box end") for end in (self.lower, self.upper))
        return BoxRegion(torch.clamp(x, lower, upper), lower, upper)

    def scaled(self, factor: float) -> Box:
        """Give the box shrunk (or grown) about its middle."""
        check_number("factor", factor, least=0)
        lower, upper = (torch.as_tensor(end, dtype=torch.float64) for end in (self.lower, self.upper))
        middle, half = (lower + upper) / 2, factor * (upper - lower) / 2
        return Box(features.frozen(middle - half, "lower"), features.frozen(middle + half, "upper"))

    def describe(self) -> str:
        return f"Box({features.short(self.lower)}, {features.short(self.upper)})"
