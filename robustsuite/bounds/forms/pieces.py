"""Linear forms of slices of a tensor, not yet put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from robustsuite.bounds.forms.linear_form import Dense, LinearForm


@dataclass(frozen=True, slots=True, eq=False)
class Pieces(LinearForm):
    """Coefficients of slices, zero elsewhere: `pieces` holds an index into (rows, specs, *shape) and what stands there.

    A recurrent net slices its input once for each step: joined at the end, the slices cost one tensor, not one each.
    """

    pieces: tuple[tuple[tuple[slice, ...], Tensor], ...]

    @property
    def a(self) -> Tensor:
        return self.dense().a

    def dense(self) -> Dense:
        first = self.pieces[0][1]
        rows = max(len(a) for _, a in self.pieces)
        whole = first.new_zeros(rows, first.shape[1], *self.shape)
        for at, a in self.pieces:
            whole[at] += a
        return Dense(self.rows, self.shape, whole)

    def take(self, values: Tensor) -> Tensor:
        return self.dense().take(values)

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> Dense:
        return Dense(self.rows, self.shape, a)

    def add(self, other: LinearForm) -> LinearForm:
        if isinstance(other, Pieces):
            rows = self.rows if self.rows is not None else other.rows
            return replace(self, rows=rows, pieces=self.pieces + other.pieces)
        return LinearForm.add(self, other)
