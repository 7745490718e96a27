"""Linear forms of a tensor, with coefficients held in the layout that suits them.

A backward pass carries forms ``A h + b`` of a tensor h of the network, one example in each row. `Dense` holds a
coefficient for every entry of h. The other layouts say the same in less: `OneHot`, `Picks`, `Differences` (one or two entries per row),
`Pieces` (slices) and `Windows` (parts of an image).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from robustsuite.perturbations.norms import pairing

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LinearForm(ABC):
    """Coefficients of linear forms of a tensor whose shape for one example is `shape`.

    Attributes:
        rows: example of each row, shape (rows,); None where row i is example i, or where there is a single row
            that all examples share.
        shape: of the tensor for one example.
    """

    rows: Tensor | None
    shape: Shape

    @abstractmethod
    def dense(self) -> Dense:
        """Give the same forms as `Dense`."""

    @abstractmethod
    def take(self, values: Tensor) -> Tensor:
        """Pick from `values` (batch or 1, *shape) what the coefficients belong to: (rows or 1, *form)."""

    @property
    @abstractmethod
    def a(self) -> Tensor:
        """The coefficients, shape (rows, specs, *form)."""

    def constant(self, offset: Tensor) -> Tensor:
        """Give the value of the forms at `offset`, a tensor (batch or 1, *shape), as (rows, specs)."""
        return pairing(self.a, self.take(offset).unsqueeze(1))

    @abstractmethod
    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> LinearForm:
        """Give a form of the same layout with other coefficients (for the same tensor).

        Args:
            a: shape (rows, specs, *form).
            zero_outside: whether entries of windows that lie outside of the image are known to be zero.
        """

    def with_negatives(self) -> LinearForm:
        """Append the negated specs: their lower bounds are the negated upper bounds of the first."""
        return self.with_coefficients(torch.cat([self.a, -self.a], 1))

    def units(self) -> tuple[int, int]:
        """Give how many parts the forms can be split into, and the axis of the result they lie on."""
        return (self.a.shape[1], 1) if self.rows is None else (len(self.rows), 0)

    def part(self, begin: int, end: int) -> LinearForm:
        """Give the forms of the units from `begin` to before `end` (see `units`)."""
        if self.rows is None:
            return self.with_coefficients(self.a[:, begin:end])
        return replace(self.with_coefficients(self.a[begin:end]), rows=self.rows[begin:end])

    def add(self, other: LinearForm) -> LinearForm:
        """Add two forms of the same tensor."""
        mine, its = self.dense(), other.dense()
        return Dense(mine.rows if mine.rows is not None else its.rows, mine.shape, mine.a + its.a)


@dataclass(frozen=True, slots=True, eq=False)
class Dense(LinearForm):
    """A coefficient for every entry: `coefficients` has shape (rows, specs, *shape)."""

    coefficients: Tensor

    @property
    def a(self) -> Tensor:
        return self.coefficients

    def dense(self) -> Dense:
        return self

    def take(self, values: Tensor) -> Tensor:
        if values.shape[1:] != self.shape:
            values = values.reshape(values.shape[0], *self.shape)
        if len(self.shape) >= 3:
            # In the memory order of the coefficients, which are many times as large.
            last = self.coefficients.stride(-3) == 1 and self.coefficients.stride(-1) != 1
            values = values.movedim(-3, -1).contiguous().movedim(-1, -3) if last else values.contiguous()
        return self.take_input(values)

    def constant(self, offset: Tensor) -> Tensor:
        if offset.shape[0] == 1 and offset.dim() == 2 and self.coefficients.dim() == 3:
            return self.coefficients @ offset[0]  # a bias, the same for all examples
        return LinearForm.constant(self, offset)

    def take_input(self, values: Tensor) -> Tensor:
        """Pick the rows' examples from `values` (batch or 1, ...) of any shape: (rows or 1, ...)."""
        return values if self.rows is None or values.shape[0] == 1 else values.index_select(0, self.rows)

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> Dense:
        return Dense(self.rows, self.shape, a)

    def like(self, a: Tensor) -> Dense:
        """Give forms of the same rows for another tensor: `a` has shape (rows, specs, *other shape)."""
        return Dense(self.rows, tuple(a.shape[2:]), a)
