"""The truth that bounds are held against: the extreme outputs that a search finds in a region."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from robustsuite.bounds import Bounds
from robustsuite.perturbations import Region


def extremes(
    model: Callable[[Tensor], Tensor],
    region: Region,
    *,
    samples: int = 15,
    corners: int = 8,
    steps: int = 6,
    generator: torch.Generator | None = None,
) -> Bounds:
    """Give the least and the greatest value found of each output, shape (batch, *output).

    Args:
        model: from a batch of inputs to a batch of outputs.
        region: where to search.
        samples: uniform points per example.
        corners: extreme points in random directions per example.
        steps: of projected gradient descent and ascent on each output of each example, from a random start.
        generator: of the points.
    """
    generator = generator or torch.Generator().manual_seed(0)
    with torch.no_grad():
        outputs = model(_tries(region, samples, corners, generator)).unflatten(0, (-1, len(region.center)))
    low, high = outputs.amin(0), outputs.amax(0)
    if steps and outputs.is_floating_point():
        descended = _descend(model, region, low[0].numel(), steps, generator)
        low = torch.minimum(low, descended.lower.view_as(low))
        high = torch.maximum(high, descended.upper.view_as(high))
    return Bounds(low, high)


def _tries(region: Region, samples: int, corners: int, generator: torch.Generator) -> Tensor:
    """Give points of a region in one batch: the centers, then uniform points, then extreme ones."""
    inside, around = (region.select(torch.arange(len(region.center)).repeat(n)) for n in (samples, corners))
    directions = torch.randn(around.center.shape, generator=generator).to(region.center)
    return torch.cat([region.center, inside.sample(generator=generator), around.minimizer_of(directions)])


def _descend(
    model: Callable[[Tensor], Tensor], region: Region, outputs: int, steps: int, generator: torch.Generator
) -> Bounds:
    """Attack every output of every example in both directions at once; give the best of all steps."""
    batch = len(region.center)
    copies = region.select(torch.arange(batch).repeat_interleave(2 * outputs))
    target = torch.arange(outputs).repeat_interleave(2).repeat(batch).unsqueeze(1)
    sign = torch.tensor([1.0, -1.0]).repeat(batch * outputs).to(region.center)
    point = copies.sample(generator=generator)
    best = torch.full_like(sign, torch.inf)
    for step in range(steps + 1):
        point = point.detach().requires_grad_()
        with torch.enable_grad():
            value = sign * model(point).reshape(len(point), -1).gather(1, target).squeeze(1)
        best = torch.minimum(best, value.detach())
        if step == steps or not value.requires_grad:
            break
        (gradient,) = torch.autograd.grad(value.sum(), point, allow_unused=True, materialize_grads=True)
        size = 1.0 if step == 0 else 0.5 * (1 - step / steps)
        point = copies.project(point.detach() - size * copies.ascent(gradient.nan_to_num()))
    best = best.view(batch, outputs, 2)
    return Bounds(best[..., 0], -best[..., 1])


def slack(found: Bounds, tolerance: float = 1e-5) -> Tensor:
    """Give what rounding may cost: `tolerance` relative to one and the greatest value."""
    return tolerance * (1 + torch.maximum(found.lower.abs(), found.upper.abs()).amax())


def assert_encloses(bounds: Bounds, found: Bounds, *, tolerance: float = 1e-5, hint: str = "") -> None:
    """Assert that bounds are finite and hold every value found."""
    assert bounds.lower.shape == found.lower.shape, hint
    assert bool(bounds.lower.isfinite().all() & bounds.upper.isfinite().all()), f"not finite: {hint}"
    gap = torch.maximum(bounds.lower - found.lower, found.upper - bounds.upper).detach()
    worst = int(gap.argmax())
    assert float(gap.max()) <= float(slack(found, tolerance)), (
        f"broken by {float(gap.max()):.3g} at entry {worst}: bounds "
        f"[{float(bounds.lower.flatten()[worst])}, {float(bounds.upper.flatten()[worst])}], found "
        f"[{float(found.lower.flatten()[worst])}, {float(found.upper.flatten()[worst])}] {hint}"
    )


def extremes_of_several(
    model: Callable[..., Tensor],
    regions: Sequence[Region],
    *,
    samples: int = 15,
    corners: int = 8,
    steps: int = 6,
    generator: torch.Generator | None = None,
) -> Bounds:
    """Do as `extremes` for a model of several inputs, which move together."""
    generator = generator or torch.Generator().manual_seed(0)
    batch = len(regions[0].center)
    with torch.no_grad():
        outputs = model(*(_tries(region, samples, corners, generator) for region in regions))
        outputs = outputs.unflatten(0, (-1, batch))
    low, high = outputs.amin(0), outputs.amax(0)
    count = low[0].numel()
    copies = [r.select(torch.arange(batch).repeat_interleave(2 * count)) for r in regions]
    target = torch.arange(count).repeat_interleave(2).repeat(batch).unsqueeze(1)
    sign = torch.tensor([1.0, -1.0]).repeat(batch * count).to(low)
    points = [r.sample(generator=generator) for r in copies]
    best = torch.full_like(sign, torch.inf)
    for step in range(steps + 1):
        points = [p.detach().requires_grad_() for p in points]
        with torch.enable_grad():
            value = sign * model(*points).reshape(len(sign), -1).gather(1, target).squeeze(1)
        best = torch.minimum(best, value.detach())
        gradients = torch.autograd.grad(value.sum(), points, allow_unused=True, materialize_grads=True)
        size = 1.0 if step == 0 else 0.5 * (1 - step / steps)
        points = [
            r.project(p.detach() - size * r.ascent(g.nan_to_num()))
            for r, p, g in zip(copies, points, gradients, strict=True)
        ]
    best = best.view(batch, count, 2)
    return Bounds(
        torch.minimum(low, best[..., 0].view_as(low)), torch.maximum(high, -best[..., 1].view_as(high))
    )
