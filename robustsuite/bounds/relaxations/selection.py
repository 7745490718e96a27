"""The derivative of a maximum: which entry of the last axis is the largest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Nonlinear, Thetas
from robustsuite.perturbations.norms import flat


class Selection(Nonlinear):
    """1 at the largest entry of the last axis, else 0; where several are largest, any weights that sum to 1.

    An entry that may be the largest has a weight in [0, 1], one that is the largest for sure the weight 1. Flat
    planes.

    Args:
        repeated: marks entries that repeat another one and count for nothing, shape (*out, entries) or with fewer
            leading axes, or None.
    """

    def __init__(self, repeated: Tensor | None = None) -> None:
        self._repeated = repeated

    def _distinct(self, x: Tensor) -> Tensor:
        return x if self._repeated is None else x.masked_fill(self._repeated, -torch.inf)

    def forward(self, *xs: Tensor) -> Tensor:
        x = xs[0]
        return functional.one_hot(self._distinct(x).argmax(-1), x.shape[-1]).to(x.dtype)

    def interval(self, *xs: Bounds) -> Bounds:
        l, u = self._distinct(xs[0].lower), self._distinct(xs[0].upper)
        possible = (u >= l.amax(-1, keepdim=True)) & (u > -torch.inf)
        alone = possible & (possible.sum(-1, keepdim=True) == 1)
        return Bounds(alone.to(l.dtype), possible.to(l.dtype))

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        weights = self.interval(*inputs)
        return weights.width > 0

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        ends, none = self.interval(*inputs), torch.zeros_like(inputs[0].lower)
        return xs[0].scaled(none, none).shifted(ends.lower, ends.upper)

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        return torch.ones_like(sizes[0])  # constants between 0 and 1

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        ends = self.interval(*inputs)
        a = form.a
        lower, upper = (form.take(end).unsqueeze(1) for end in (ends.lower, ends.upper))
        constant = flat(a.clamp(min=0) * lower + a.clamp(max=0) * upper, 2).sum(2)
        return (form.with_coefficients(torch.zeros_like(a)),), constant
