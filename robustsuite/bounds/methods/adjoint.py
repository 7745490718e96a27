"""The transpose of an affine map as a step of its own: what a Jacobian does where the network is affine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import Dense, LinearForm, Shape
from robustsuite.bounds.operations import Affine, vector_jacobian


class Adjoint(Affine):
    """Multiply rows of coefficients with an affine map: from its output's shape to that of one of its inputs.

    Acts on (rows, count, *after), gives (rows, count, *before).

    Args:
        op: the affine map, the same for all examples but for its constant.
        befores: shapes of its inputs for one example.
        which: the input whose coefficients are wanted.
        after: shape of its output for one example.
    """

    def __init__(self, op: Affine, befores: Sequence[Shape], which: int, after: Shape) -> None:
        self._op, self._befores, self._which, self._after = op, tuple(befores), which, after

    def forward(self, *xs: Tensor) -> Tensor:
        form = Dense(None, self._after, xs[0])
        return self._op.adjoint(form)[self._which].dense().a

    def interval(self, *xs: Bounds) -> Bounds:
        middle = self.forward((xs[0].lower + xs[0].upper) / 2)
        # The radius of the map's interval is |A| r, a linear function of the input's radius r: transpose that.
        radius = vector_jacobian(self._radius, (xs[0].upper - xs[0].lower) / 2, self._befores)[self._which]
        return Bounds(middle - radius, middle + radius)

    def _radius(self, *radii: Tensor) -> Tensor:
        ends = self._op.interval(*(Bounds(-r, r) for r in radii))
        return (ends.upper - ends.lower) / 2

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        x = dense.a.reshape(-1, *self._befores[self._which])
        others = [torch.zeros((len(x), *shape), dtype=x.dtype, device=x.device) for shape in self._befores]
        others[self._which] = x
        return (dense.like(self._op.linear(*others).reshape(*dense.a.shape[:3], *self._after)),)
