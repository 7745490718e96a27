"""Linear forms that pick a single entry: where backward passes for neurons start."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.linear_form import Dense, LinearForm, Shape
from robustsuite.bounds.forms.windows import Windows
from robustsuite.perturbations.norms import flat


@dataclass(frozen=True, slots=True, eq=False)
class OneHot(LinearForm):
    """Coefficients `value` (rows, specs) of one entry per row, at the flat position `index` (rows,)."""

    index: Tensor
    value: Tensor

    @property
    def a(self) -> Tensor:
        return self.value.unsqueeze(2)

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> OneHot:
        return replace(self, value=a.squeeze(2))

    def take(self, values: Tensor) -> Tensor:
        owner = self.rows if self.rows is not None and len(values) > 1 else torch.zeros_like(self.index)
        return flat(values)[owner, self.index].unsqueeze(1)

    def dense(self) -> Dense:
        size = math.prod(self.shape)
        flat = torch.zeros((*self.value.shape, size), dtype=self.value.dtype, device=self.value.device)
        index = self.index[:, None, None].expand(*self.value.shape, 1)
        flat = flat.scatter(2, index, self.value.unsqueeze(2))
        return Dense(self.rows, self.shape, flat.view(*self.value.shape, *self.shape))

    def part(self, begin: int, end: int) -> OneHot:
        return self.pick(slice(begin, end))

    def pick(self, cut: slice | Tensor) -> OneHot:
        """Give the forms of some rows."""
        assert self.rows is not None
        return replace(self, rows=self.rows[cut], index=self.index[cut], value=self.value[cut])

    def reshaped(self, shape: Shape) -> OneHot:
        """Give the same forms of the tensor viewed in another shape."""
        return replace(self, shape=shape)

    def windows(self) -> Windows:
        """Give the same forms as 1 x 1 windows; the tensor is one image, shape (1, channels, height, width)."""
        channels, height, width = self.shape[-3:]
        channel = functional.one_hot(self.index // (height * width), channels).to(self.value.dtype)
        coefficients = channel.unsqueeze(1) * self.value.unsqueeze(2)
        return Windows(
            rows=self.rows,
            shape=self.shape,
            coefficients=coefficients[..., None, None],
            row=(self.index // width) % height,
            column=self.index % width,
            stride=(1, 1),
            start=(0, 0),
            zero_outside=True,
        )

    def add(self, other: LinearForm) -> LinearForm:
        if isinstance(other, OneHot) and self.index is other.index:
            return replace(self, value=self.value + other.value)
        return LinearForm.add(self, other)


@dataclass(frozen=True, slots=True, eq=False)
class Picks(LinearForm):
    """Coefficients `value` (specs,) of one entry per spec, at the flat position `index` (specs,), for all examples."""

    index: Tensor
    value: Tensor

    @property
    def a(self) -> Tensor:
        return self.dense().a

    def dense(self) -> Dense:
        flat = self.value.new_zeros(len(self.index), math.prod(self.shape))
        flat.scatter_(1, self.index.unsqueeze(1), self.value.unsqueeze(1))
        return Dense(None, self.shape, flat.view(1, -1, *self.shape))

    def take(self, values: Tensor) -> Tensor:
        return values.reshape(len(values), *self.shape)

    def constant(self, offset: Tensor) -> Tensor:
        return flat(offset)[:, self.index] * self.value

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> Dense:
        return Dense(None, self.shape, a)

    def units(self) -> tuple[int, int]:
        return len(self.index), 1

    def part(self, begin: int, end: int) -> Picks:
        return replace(self, index=self.index[begin:end], value=self.value[begin:end])

    def reshaped(self, shape: Shape) -> Picks:
        """Give the same forms of the tensor viewed in another shape."""
        return replace(self, shape=shape)


@dataclass(frozen=True, slots=True, eq=False)
class Differences(LinearForm):
    """One entry less another, for each example its own: h[plus] - h[minus].

    Attributes:
        plus, minus: flat positions, shape (batch, specs) or, where they are the same for all specs, (batch, 1).
        one: the number 1, in the dtype of the coefficients.
    """

    plus: Tensor
    minus: Tensor
    one: Tensor

    @property
    def a(self) -> Tensor:
        return self.dense().a

    def dense(self) -> Dense:
        batch, specs = self._size()
        flat = self.one.new_zeros(batch, specs, math.prod(self.shape))
        for at, sign in ((self.plus, 1.0), (self.minus, -1.0)):
            at = at.expand(batch, specs).unsqueeze(2)
            flat.scatter_add_(2, at, (sign * self.one).expand(at.shape))
        return Dense(None, self.shape, flat.view(batch, specs, *self.shape))

    def _size(self) -> tuple[int, int]:
        return len(self.plus), max(self.plus.shape[1], self.minus.shape[1])

    def take(self, values: Tensor) -> Tensor:
        return values.reshape(len(values), *self.shape)

    def constant(self, offset: Tensor) -> Tensor:
        values = flat(offset)
        batch = max(len(values), len(self.plus))
        plus, minus = (
            values.expand(batch, -1).gather(1, at.expand(batch, -1)) for at in (self.plus, self.minus)
        )
        return plus - minus

    def rows_of(self, weight: Tensor) -> Tensor:
        """Give the same differences of the rows of a matrix (entries, columns), shape (batch, specs, columns)."""
        return functional.embedding(self.plus, weight) - functional.embedding(self.minus, weight)

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> Dense:
        return Dense(None, self.shape, a)

    def with_negatives(self) -> Differences:
        plus, minus = (at.expand(self._size()) for at in (self.plus, self.minus))
        return replace(self, plus=torch.cat([plus, minus], 1), minus=torch.cat([minus, plus], 1))

    def units(self) -> tuple[int, int]:
        return self._size()[1], 1

    def part(self, begin: int, end: int) -> Differences:
        plus, minus = (at.expand(self._size())[:, begin:end] for at in (self.plus, self.minus))
        return replace(self, plus=plus, minus=minus)

    def reshaped(self, shape: Shape) -> Differences:
        """Give the same forms of the tensor viewed in another shape."""
        return replace(self, shape=shape)
