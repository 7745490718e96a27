"""The logarithm of a sum of exponentials over the last axis, as one step: nothing overflows on the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Nonlinear, T, Thetas, Writer
from robustsuite.perturbations.norms import pairing

_NARROW = 1e-3  # widths from which on (1 - exp(-w)) / w and its gradient are free of cancellation
_LEAST = (
    1 / 16
)  # how far from the lower ends the tangent of the plane above touches: there the sum may round to 0


class LogSumExp(Nonlinear):
    """log(sum of exp) over the last axis.

    The function is convex: a tangent plane bounds it from below. From above, each exponential has its chord, and the
    logarithm of their sum a tangent; all of them divided by the largest, so that regions may be as large as they will.
    The free choices are the points of the two tangents, between the lower (0) and the upper ends (1) of the inputs.

    Source: Wei et al. 2023 (2303.01713), section 3 (bounds of the log-sum-exp).
    """

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0].logsumexp(-1)

    def layout(self, form: LinearForm) -> LinearForm:
        return form.dense()

    def interval(self, *xs: Bounds) -> Bounds:
        return Bounds(xs[0].lower.logsumexp(-1), xs[0].upper.logsumexp(-1))

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        lower_slope, below, upper_slope, above = self._default_planes(inputs[0])
        terms = xs[0].scaled(lower_slope, upper_slope).mapped(lambda t: t.sum(-1))
        return terms.shifted(below, above)

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        # Slopes up to 2; a relative error for each exponential.
        return 8 * (sizes[0].sum(-1) + sizes[0].shape[-1])

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        return writer.spread(writer.softmax(inputs[0]), rows)

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        dense = form.dense()
        if thetas.lower is None or thetas.upper is None:
            lower_slope, below, upper_slope, above = (
                dense.take_input(part).unsqueeze(1) for part in self._default_planes(inputs[0])
            )
        else:
            l, u = (dense.take_input(end).unsqueeze(1) for end in (inputs[0].lower, inputs[0].upper))
            lower_slope, below, upper_slope, above = _planes(
                l, u, thetas.lower.unsqueeze(-1), thetas.upper.unsqueeze(-1)
            )
        a = dense.a
        rising = a.clamp(min=0)
        falling = a - rising
        slope = torch.addcmul(rising.unsqueeze(-1) * lower_slope, falling.unsqueeze(-1), upper_slope)
        return (dense.like(slope),), pairing(rising, below) + pairing(falling, above)

    def initial_thetas(self, inputs: Sequence[Bounds]) -> Thetas:
        half = torch.full_like(inputs[0].lower[..., 0], 0.5)
        return Thetas(lower=half, upper=half.clone())

    def _default_planes(self, ends: Bounds) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give the default planes; many backward passes ask for those of the same interval."""

        def made() -> tuple[Tensor, Tensor, Tensor, Tensor]:
            half = torch.full_like(ends.lower[..., :1], 0.5)
            return _planes(ends.lower, ends.upper, half, half)

        return ends.remembered(self, made)


def _planes(l: Tensor, u: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give slope and constant of the plane below, then those of the one above.

    Args:
        l, u: ends, shape (..., n).
        low, high: points of the tangents, in [0, 1], shape (..., 1).
    """
    at = torch.lerp(l, u, low)
    lower_slope = at.softmax(-1)
    below = at.logsumexp(-1) - (lower_slope * at).sum(-1)
    largest = u.amax(-1, keepdim=True)
    start, end = (l - largest).exp(), (u - largest).exp()
    chord = end * mean_decay(u - l)
    at = torch.lerp(l, u, _LEAST + (1 - _LEAST) * high)
    total = (start + chord * (at - l)).sum(-1, keepdim=True)
    upper_slope = chord / total
    above = (largest + total.log()).squeeze(-1) - (upper_slope * at).sum(-1)
    return lower_slope, below, upper_slope, above


def mean_decay(width: Tensor) -> Tensor:
    """Give (1 - exp(-w)) / w for w >= 0: the slope of exp's chord on [-w, 0]."""
    wide = width.clamp(min=_NARROW)
    # The series, cut after a positive term, so that the line stays above the exponential.
    return torch.where(width > _NARROW, -torch.expm1(-wide) / wide, 1 - width / 2 + width.square() / 6)
