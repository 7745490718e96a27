"""Order statistics of the last axis: what sorting gives, whether or not the order is settled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm
from robustsuite.bounds.forms.planes import Planes
from robustsuite.bounds.operations import Nonlinear, Thetas
from robustsuite.perturbations.norms import flat


class OrderStatistics(Nonlinear):
    """The entries of given ranks of the last axis, from the smallest (rank 0) on.

    The value of rank k is at most the largest of any k + 1 entries: of those with the smallest upper ends, whose maximum
    has the plane of `Maximum`. It is at least the least of any n - k entries: of those with the largest lower ends.
    Where the order is settled both planes are that entry itself.

    Args:
        ranks: of the outputs, in their order.
    """

    def __init__(self, ranks: Sequence[int]) -> None:
        self._ranks = tuple(ranks)

    def forward(self, *xs: Tensor) -> Tensor:
        return self._picked(xs[0].sort(-1).values)

    def _picked(self, ordered: Tensor) -> Tensor:
        return ordered[..., torch.tensor(self._ranks, device=ordered.device)]

    def layout(self, form: LinearForm) -> LinearForm:
        return form.dense()

    def interval(self, *xs: Bounds) -> Bounds:
        return Bounds(self.forward(xs[0].lower), self.forward(xs[0].upper))

    def unresolved(self, inputs: Sequence[Bounds], which: int) -> Tensor:
        l, u = inputs[0].lower.unsqueeze(-1), inputs[0].upper.unsqueeze(-1)
        meets = (l < u.transpose(-1, -2)) & (u > l.transpose(-1, -2))
        return (meets.sum(-1) > 1) & (inputs[0].upper > inputs[0].lower)

    def planes(self, inputs: Sequence[Bounds], *xs: Planes) -> Planes:
        lower_slope, below, upper_slope, above = self._slopes(inputs[0])
        ranks = len(self._ranks)
        wide = xs[0].mapped(lambda t: t.unsqueeze(-2).expand(*t.shape[:-1], ranks, t.shape[-1]))
        return wide.scaled(lower_slope, upper_slope).mapped(lambda t: t.sum(-1)).shifted(below, above)

    def magnitude(self, inputs: Sequence[Bounds], sizes: Sequence[Tensor]) -> Tensor:
        return 4 * sizes[0].sum(-1, keepdim=True)

    def backward(
        self, form: LinearForm, inputs: Sequence[Bounds], thetas: Thetas
    ) -> tuple[tuple[LinearForm, ...], Tensor]:
        dense = form.dense()
        lower_slope, below, upper_slope, above = (
            dense.take_input(part).unsqueeze(1) for part in self._slopes(inputs[0])
        )
        rising = dense.a.clamp(min=0)
        falling = dense.a - rising
        terms = rising.unsqueeze(-2) @ lower_slope + falling.unsqueeze(-2) @ upper_slope
        constant = flat(rising * below + falling * above, 2).sum(2)
        return (dense.like(terms.squeeze(-2)),), constant

    def _slopes(self, ends: Bounds) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Give slopes (batch, *lead, ranks, n) and constants (batch, *lead, ranks), below and then above."""
        upper_slope, above = self._above(ends.lower, ends.upper, self._ranks)
        last = ends.lower.shape[-1] - 1
        lower_slope, below = self._above(-ends.upper, -ends.lower, [last - rank for rank in self._ranks])
        return lower_slope, -below, upper_slope, above

    def _above(self, l: Tensor, u: Tensor, ranks: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Give the plane above the maximum of the k + 1 entries with the smallest upper ends, for each rank k."""
        place = u.argsort(dim=-1, stable=True).argsort(dim=-1).unsqueeze(-2)
        chosen = place <= torch.tensor(ranks, device=u.device).unsqueeze(-1)
        l, u = l.unsqueeze(-2), u.unsqueeze(-2)
        best = torch.where(chosen, l, -torch.inf).amax(-1, keepdim=True)
        over = (u - best).clamp(min=0)
        chord = over / (over - (l - best).clamp(max=0)).clamp(min=torch.finfo(l.dtype).tiny)
        chord = torch.where(chosen, chord, 0.0)
        constant = (best - (chord * torch.minimum(l, best)).sum(-1, keepdim=True)).squeeze(-1)
        highest = torch.where(chosen, u, -torch.inf).amax(-1)
        flat_is_lower = highest < (chord * (l + u) / 2).sum(-1) + constant
        chord = torch.where(flat_is_lower.unsqueeze(-1), 0.0, chord)
        return chord, torch.where(flat_is_lower, highest, constant)
