"""Norms of flattened examples, their duals, projections and uniform samples of the unit ball.

All functions but `flat` and `pairing` work on tensors of shape (batch, features) and reduce the last axis.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustsuite.seeding import uniform
from robustsuite.tiles import form_tiles


def norm(z: Float[Tensor, "*batch features"], p: float) -> Float[Tensor, "*batch"]:
    """Give the p-norm of the last axis, p in {1, 2, inf}, with a zero (not NaN) gradient at zero."""
    if p == 2:
        squares = z.square().sum(-1)
        positive = squares > 0
        return torch.where(positive, torch.where(positive, squares, 1.0).sqrt(), 0.0)
    return z.abs().amax(-1) if p == torch.inf else z.abs().sum(-1)


def dual(p: float) -> float:
    """Give q with 1/p + 1/q = 1."""
    return {1: torch.inf, 2: 2.0, torch.inf: 1.0}[p]


def project(z: Float[Tensor, "*batch features"], p: float) -> Float[Tensor, "*batch features"]:
    """Project the last axis onto the unit p-ball, p in {1, 2, inf}.

    Source: for p = 1, Duchi et al. 2008, figure 1 (projection onto the simplex by sorting).
    """
    if p == torch.inf:
        return z.clamp(-1, 1)
    if p == 2:
        return z / norm(z, 2).clamp(min=1).unsqueeze(-1)
    magnitude, _ = z.abs().sort(dim=-1, descending=True)
    ranks = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
    thresholds = (magnitude.cumsum(-1) - 1) / ranks
    active = (magnitude > thresholds).sum(-1, keepdim=True).clamp(min=1)
    threshold = thresholds.gather(-1, active - 1).clamp(min=0)
    projected = z.sign() * (z.abs() - threshold).clamp(min=0)
    # The sums above round: without this the result can lie a few ulps outside.
    return projected / norm(projected, 1).clamp(min=1).unsqueeze(-1)


def sample(seeds: Int[Tensor, " batch"], features: int, p: float, *, dtype: torch.dtype) -> Tensor:
    """Draw one point per seed uniformly from the unit p-ball, p in {1, 2, inf}.

    Args:
        seeds: one 64-bit integer per example (see `robustsuite.seeding.example_seeds`).
        features: dimension of the ball.
        dtype: float32 or float64; of the result, shape (batch, features), on the seeds' device.

    Source: Barthe et al. 2005, theorem 1: coordinates of density exp(-|t|^p), divided by the p-norm of the
    vector extended by an independent exponential.
    """
    if p == torch.inf:
        return uniform(seeds, features, dtype=dtype) * 2 - 1
    radius = -uniform(seeds, 1, stream=1, dtype=dtype).log()
    if p == 2:
        pairs = (features + 1) // 2
        size = uniform(seeds, pairs, stream=2, dtype=dtype).log_().mul_(-2).sqrt_()
        turn = uniform(seeds, pairs, stream=3, dtype=dtype).mul_(2 * torch.pi)
        z = torch.cat([size * turn.cos(), size * turn.sin()], 1)[:, :features]  # Box-Muller
        return z / (z.square().sum(-1, keepdim=True) + 2 * radius).sqrt()
    turn = uniform(seeds, features, stream=2, dtype=dtype).mul_(2).sub_(1)
    size = turn.abs().log_().neg_()
    return turn.sign_() * size / (size.sum(-1, keepdim=True) + radius)


def flat(t: Tensor, lead: int = 1) -> Tensor:
    """Join all axes after the first `lead` into one; it has size 1 where there are none (a single number)."""
    if t.dim() == lead + 1:
        return t
    return t.reshape(*t.shape[:lead], math.prod(t.shape[lead:]))


def pairing(a: Tensor, values: Tensor) -> Tensor:
    """Sum coefficients (rows, specs, *form) times values (rows or 1, specs or 1, *form) over the form's axes."""
    if a.dim() >= 5 and a.stride(-3) == 1:  # channels are last in memory: nothing is copied then
        a, values = a.movedim(-3, -1), values.movedim(-3, -1)
    if values.shape[1] > 1:
        return flat(a * values, 2).sum(2)
    return torch.matmul(flat(a, 2), flat(values, 2).transpose(1, 2)).squeeze(2)


def pairing_of_sizes(a: Tensor, values: Tensor) -> Tensor:
    """Give ``pairing(a.abs(), values)``; without a gradient, the absolute values never leave the cache."""
    if torch.is_grad_enabled():
        return pairing(a.abs(), values)
    parts = [pairing(part.abs(), own) for (part,), (own,) in form_tiles([a], [values])]
    return torch.cat(parts, 1 if len(a) == 1 else 0) if len(parts) > 1 else parts[0]
