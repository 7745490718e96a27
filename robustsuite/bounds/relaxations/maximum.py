"""The maximum over the last axis (of a pooling window, of classes)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Nonlinear, T, Thetas, Writer
from robustsuite.bounds.relaxations.selection import Selection
from robustsuite.perturbations.norms import flat


class Maximum(Nonlinear):
    """max over the last axis.

    From below: the entry with the largest lower bound. From above, with m the largest lower bound, either the
    constant max u, or ``m + sum of relu(x_i - m)`` with each ReLU's chord, which is exact where one entry
    dominates; the one that is smaller at the middle of the box.

    Args:
        repeated: marks entries that repeat another one of the same maximum, shape (*out, entries) or with fewer
            leading axes, or None: they do not change the maximum, but which entry gives it.

    Source: the chord of Zhang et al. 2018 for each term; max x_i <= m + sum relu(x_i - m) for m <= max x_i.
    """

    def __init__(self, repeated: Tensor | None = None) -> None:
        self._repeated = repeated

    def forward(self, *xs: Tensor) -> Tensor:
        return xs[0].amax(-1)

    def layout(self, form: LinearForm) -> LinearForm:
        return form.dense()

    def interval(self, *xs: Bounds) -> Bounds:
        return Bounds(xs[0].lower.amax(-1), xs[0].upper.amax(-1))

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        l, u = inputs[0].lower, inputs[0].upper
        contenders = u > l.amax(-1, keepdim=True)
        return contenders & (contenders.sum(-1, keepdim=True) > 1)

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        lower_slope, upper_slope, upper_intercept = self._slopes(inputs[0])
        terms = xs[0].scaled(lower_slope, upper_slope).mapped(lambda t: t.sum(-1))
        return terms.shifted(torch.zeros_like(upper_intercept), upper_intercept)

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        # Slopes in [0, 1], and intercepts made of the ends: padding (-inf) has no part in them.
        finite = torch.where(inputs[0].lower.isfinite(), sizes[0], 0.0)
        return 4 * finite.sum(-1)

    def pull(self, writer: Writer[T], which: int, inputs: Sequence[T], output: T, rows: T) -> T:
        return writer.spread(writer.applied(Selection(self._repeated), inputs[0]), rows)

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        dense = form.dense()
        lower_slope, upper_slope, upper_intercept = self._slopes(inputs[0])
        a = dense.a
        rising = (a >= 0).unsqueeze(-1)
        slope = torch.where(
            rising, dense.take_input(lower_slope).unsqueeze(1), dense.take_input(upper_slope).unsqueeze(1)
        )
        offset = flat(a.clamp(max=0) * dense.take(upper_intercept).unsqueeze(1), 2).sum(2)
        return (dense.like(a.unsqueeze(-1) * slope),), offset

    def _slopes(self, ends: Bounds) -> tuple[Tensor, Tensor, Tensor]:
        """Give the slopes of the lower and the upper plane, shape (batch, *out, entries), and the upper constant."""
        l, u = ends.lower, ends.upper
        best, winner = l.max(-1, keepdim=True)
        lower_slope = functional.one_hot(winner.squeeze(-1), l.shape[-1]).to(l.dtype)
        # Chord of relu(x_i - best) on [l_i - best, u_i - best]; 1 with no intercept for a sole contender.
        above = (u - best).clamp(min=0)
        chord = above / (above - (l - best).clamp(max=0)).clamp(min=torch.finfo(l.dtype).tiny)
        # relu(x_i - best) <= chord (x_i - l_i) wherever l_i <= best, which holds for all i.
        upper_slope = chord
        upper_intercept = (best - (chord * torch.minimum(l, best)).sum(-1, keepdim=True)).squeeze(-1)
        constant = u.amax(-1)
        at_middle = (upper_slope * (l + u) / 2).sum(-1) + upper_intercept
        use_constant = constant < at_middle
        upper_slope = torch.where(use_constant.unsqueeze(-1), 0.0, upper_slope)
        upper_intercept = torch.where(use_constant, constant, upper_intercept)
        return lower_slope, upper_slope, upper_intercept
