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
