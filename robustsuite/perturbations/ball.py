"""L2 and L1 balls, scaled per feature and cut with a box: their least linear forms are exact."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustsuite.perturbations import norms
from robustsuite.perturbations.extent import Extent, precise, rounded_toward, spread
from robustsuite.perturbations.norms import pairing
from robustsuite.perturbations.region import Region, Take

_BISECTIONS = 40


class Ball(Region):
    """A scaled Lp ball, p in {1, 2}: all x with ``|| (x - center) / scale ||_p <= 1``, within the clip box.

    `minimum` is exact with the clip box too. For p = 2 it evaluates the Lagrangian dual at a multiplier found
    by bisection, which is a lower bound at any multiplier, so that no rounding of the search can break it; for
    p = 1 it spends the radius greedily on the largest coefficients, each up to its room in the box.

    Args:
        p: 1 or 2.
        center: shape (batch, *input).
        lower, upper: the interval hull, shape (batch, *input).
        extent: the ball's size.
    """

    def __init__(self, p: float, center: Tensor, lower: Tensor, upper: Tensor, extent: Extent) -> None:
        self.p, self.center, self.extent, self.clipped = p, center, extent, extent.limits is not None
        self.lower, self.upper = lower, upper

    @cached_property
    def _reach(self) -> Float[Tensor, " batch"]:
        return self.extent.reach(self.center, self.lower, self.upper, self.p)

    @cached_property
    def scale(self) -> Float[Tensor, "batch *input"]:
        """The radius of each feature; within a range, an endless ball is one that holds the whole range."""
        return replace(self.extent, radius=self._reach).scale(self.center)

    @property
    def radius(self) -> Float[Tensor, " batch"]:
        return self.extent.radius

    @property
    def is_unbounded(self) -> bool:
        return self.extent.is_unbounded

    @property
    def is_symmetric(self) -> bool:
        return not self.clipped

    def _unit(self, x: Tensor) -> Tensor:
        delta, scale = self._moved(x), norms.flat(self.scale)
        return torch.where(scale > 0, delta / torch.where(scale > 0, scale, 1.0), 0.0)

    def _moved(self, x: Tensor) -> Tensor:
        return norms.flat(x.to(precise(x.dtype)) - self.center)

    def _from_unit(self, z: Tensor) -> Tensor:
        x = self.center + (z * norms.flat(self.scale)).view_as(self.center)
        return torch.clamp(rounded_toward(self.center, x), self.lower, self.upper)

    def project(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        if self.extent.all_endless:
            return torch.clamp(x, self.lower, self.upper).to(self.center.dtype)
        if self.is_unbounded:
            nearest = self._from_unit(norms.project(self._unit(x), self.p))
            return torch.where(self.scale.isinf(), x.to(nearest.dtype), nearest)
        if not self.clipped:
            return self._from_unit(norms.project(self._unit(x), self.p))
        # Clipping first loses less of the ball's radius; the centre lies in the box, so both hold at the end.
        return self._from_unit(norms.project(self._unit(torch.clamp(x, self.lower, self.upper)), self.p))

    def sample_seeded(self, seeds: Int[Tensor, " batch"]) -> Float[Tensor, "batch *input"]:
        self.extent.check_bounded()
        size, dtype = self.center.shape[1:].numel(), precise(self.center.dtype)
        return self._from_unit(norms.sample(seeds, size, self.p, dtype=dtype))

    def distance(self, x: Float[Tensor, "batch *input"]) -> Float[Tensor, " batch"]:
        return norms.norm(self._moved(x), self.p)

    def contains(
        self, x: Float[Tensor, "batch *input"], *, tolerance: float = 1e-6
    ) -> Bool[Tensor, " batch"]:
        inside = super().contains(x, tolerance=tolerance)
        if self.extent.all_endless:
            return inside
        # Rounding of x itself shows in units of the radius.
        scale = norms.flat(self.scale)
        floor = torch.where(scale > 0, scale, torch.inf).amin(1)
        slack = tolerance * (1 + norms.flat(self.center).abs().amax(1) / floor)
        return inside & (norms.norm(self._unit(x), self.p) <= 1 + slack)

    def direction(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        unit = self.extent.unit
        g = norms.flat(gradient if unit is None else gradient * unit).to(self.extent.radius.dtype)
        if self.p == 2:
            length = norms.norm(g, 2).unsqueeze(1)
            z = torch.where(length > 0, g / torch.where(length > 0, length, 1.0), 0.0)
        else:
            # One coordinate at a time is steepest but slow: share the step among the largest twentieth
            # (Tramer and Boneh 2019, section 3.1, use a quantile of the same order).
            count = max(1, g.shape[1] // 20)
            top = g.abs().topk(count, dim=1)
            z = torch.zeros_like(g).scatter(1, top.indices, g.gather(1, top.indices).sign() / count)
        z = z.view_as(gradient)
        return z if unit is None else z * unit

    def ascent(self, gradient: Float[Tensor, "batch *input"]) -> Float[Tensor, "batch *input"]:
        self.extent.check_bounded()
        return spread(self._reach, self.center) * self.direction(gradient)

    def resized(self, radius: Float[Tensor, " batch"]) -> Ball:
        extent = self.extent.resized(radius)
        return Ball(self.p, self.center, *extent.ends(self.center), extent)

    def minimum(self, a: Float[Tensor, "rows specs *form"], take: Take) -> Float[Tensor, "all_rows specs"]:
        self.extent.check_bounded()
        scales = self.scale.to(self.center.dtype)  # the coefficients' type
        center, scale = (norms.flat(take(t)).unsqueeze(1) for t in (self.center, scales))
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
        center, lower, upper = (t[index] for t in (self.center, self.lower, self.upper))
        return Ball(self.p, center, lower, upper, self.extent.select(index))


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
