"""Coefficients of linear forms ``sum(a * h)`` of a tensor h, in several layouts.

A backward pass carries many forms at once: for each example several *specs* (rows of an objective, or neurons
whose bounds are wanted). All layouts order them as (rows, specs); `rows` says which example a row belongs to.

- `Dense`: a coefficient for every entry of h.
- `OneHot`: one coefficient per form: where a backward pass for a neuron of an example starts.
- `Picks`: the same for all examples: where a pass for all neurons of all examples starts.
- `Pieces`: coefficients of slices of h, not yet put together: what the users of its slices send.
- `Windows`: coefficients inside a window of an image, zero outside: what a convolution makes of a `OneHot`.
  Early layers of a convolutional net see a small part of the image, so this saves most of the work and memory.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.perturbations.norms import flat, pairing

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
        if isinstance(self, Windows) and isinstance(other, Windows) and self.aligned(other):
            return self.merge(other)
        if isinstance(self, Pieces) and isinstance(other, Pieces):
            return replace(
                self,
                rows=self.rows if self.rows is not None else other.rows,
                pieces=self.pieces + other.pieces,
            )
        if isinstance(self, OneHot) and isinstance(other, OneHot) and self.index is other.index:
            return replace(self, value=self.value + other.value)
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
        values = values.reshape(len(values), *self.shape)
        if len(self.shape) >= 3:
            # In the memory order of the coefficients, which are many times as large.
            last = self.coefficients.stride(-3) == 1 and self.coefficients.stride(-1) != 1
            values = values.movedim(-3, -1).contiguous().movedim(-1, -3) if last else values.contiguous()
        return self.take_input(values)

    def take_input(self, values: Tensor) -> Tensor:
        """Pick the rows' examples from `values` (batch or 1, ...) of any shape: (rows or 1, ...)."""
        return values if self.rows is None or len(values) == 1 else values.index_select(0, self.rows)

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> Dense:
        return replace(self, coefficients=a)

    def like(self, a: Tensor) -> Dense:
        """Give forms of the same rows for another tensor: `a` has shape (rows, specs, *other shape)."""
        return Dense(self.rows, tuple(a.shape[2:]), a)


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


@dataclass(frozen=True, slots=True, eq=False)
class Windows(LinearForm):
    """Coefficients in windows of an image: shape (rows, specs, channels, window height, window width).

    The upper left corner of row i's window lies at ``(row[i], column[i]) * stride + start`` of the image.
    Entries outside of the image belong to nothing; `zero_outside` says that they are known to be zero.
    Channels are kept last in memory: convolutions of many small windows are several times faster so.
    """

    coefficients: Tensor
    row: Tensor
    column: Tensor
    stride: tuple[int, int]
    start: tuple[int, int]
    zero_outside: bool = False

    @property
    def a(self) -> Tensor:
        return self.coefficients

    def with_coefficients(self, a: Tensor, *, zero_outside: bool = False) -> Windows:
        return replace(self, coefficients=a, zero_outside=zero_outside)

    def constant(self, offset: Tensor) -> Tensor:
        if self.zero_outside and len(offset) == 1 and offset.stride()[-2:] == (0, 0):
            # One value per channel, the bias of a convolution: no need to look where the windows lie.
            per_channel = offset.reshape(-1, *self.shape[-3:])[0, :, 0, 0]
            return torch.matmul(self.coefficients.permute(0, 1, 3, 4, 2), per_channel).sum((2, 3))
        return pairing(self.a, self.take(offset).unsqueeze(1))

    def corner(self) -> tuple[Tensor, Tensor]:
        """Give the image position of each window's upper left corner."""
        return self.row * self.stride[0] + self.start[0], self.column * self.stride[1] + self.start[1]

    def _inside(self) -> Tensor:
        top, left = self.corner()
        height, width = self.shape[-2:]
        y = _run(top, self.coefficients.shape[-2])
        x = _run(left, self.coefficients.shape[-1])
        return ((y >= 0) & (y < height)).unsqueeze(2) & ((x >= 0) & (x < width)).unsqueeze(1)

    def cut(self) -> Windows:
        """Give the same form with zeros outside of the image."""
        if self.zero_outside:
            return self
        inside = self._inside()[:, None, None].to(self.coefficients.dtype)
        return self.with_coefficients(self.coefficients * inside, zero_outside=True)

    def take(self, values: Tensor) -> Tensor:
        top, left = self.corner()
        height, width = self.shape[-2:]
        channels, high, wide = self.coefficients.shape[-3:]
        rows = self.rows
        if rows is not None and len(values) > 1 and not rows.is_cuda:
            first, last = (int(end) for end in rows.aminmax())  # forms in parts belong to few of the examples
            values, rows = values[first : last + 1], rows - first
        # A border of zeros stands for all that lies outside. With the channels last, a window's row is a contiguous
        # run of the image, and all runs that start at some pixel are a view of it: what is copied comes in long runs.
        image = functional.pad(values.reshape(-1, *self.shape[-3:]), (wide, wide, 1, 1)).permute(0, 2, 3, 1)
        image = image.contiguous()
        across = width + 2 * wide
        starts = len(image) * (height + 2) * across - wide + 1
        runs = image.as_strided((starts, wide * channels), (channels, 1))
        y = _run(top + 1, high).clamp(0, height + 1)
        position = y * across + (left + wide).clamp(0, width + wide).unsqueeze(1)
        if rows is not None and len(values) > 1:
            position = position + rows.unsqueeze(1) * ((height + 2) * across)
        picked = functional.embedding(position, runs)
        return picked.view(-1, high, wide, channels).permute(0, 3, 1, 2)

    def dense(self) -> Dense:
        top, left = self.corner()
        high, wide = self.coefficients.shape[-2:]
        height, width = self.shape[-2:]
        y = torch.arange(height, device=top.device) - top.unsqueeze(1)
        x = torch.arange(width, device=top.device) - left.unsqueeze(1)
        inside = ((y >= 0) & (y < high)).unsqueeze(2) & ((x >= 0) & (x < wide)).unsqueeze(1)
        each = torch.arange(len(top), device=top.device)[:, None, None]
        window = self.coefficients.permute(0, 3, 4, 1, 2)
        image = window[each, y.clamp(0, high - 1)[:, :, None], x.clamp(0, wide - 1)[:, None, :]]
        image = (image * inside[..., None, None].to(image.dtype)).permute(0, 3, 4, 1, 2)
        return Dense(self.rows, self.shape, image.reshape(*self.coefficients.shape[:2], *self.shape))

    def aligned(self, other: Windows) -> bool:
        """Say whether the windows of two forms lie at a fixed distance, row by row."""
        return self.stride == other.stride and self.row is other.row and self.column is other.column

    def merge(self, other: Windows) -> Windows:
        """Add two aligned forms."""
        ends = [
            (
                min(self.start[axis], other.start[axis]),
                max(w.start[axis] + w.coefficients.shape[axis - 2] for w in (self, other)),
            )
            for axis in (0, 1)
        ]
        total = None
        for w in (self, other):
            high, wide = w.coefficients.shape[-2:]
            before = [w.start[axis] - ends[axis][0] for axis in (0, 1)]
            after = [ends[0][1] - w.start[0] - high, ends[1][1] - w.start[1] - wide]
            padded = functional.pad(w.coefficients, (before[1], after[1], before[0], after[0]))
            total = padded if total is None else total + padded
        assert total is not None
        both = self.zero_outside and other.zero_outside
        return replace(self, coefficients=total, start=(ends[0][0], ends[1][0]), zero_outside=both)


def _run(start: Tensor, count: int) -> Tensor:
    """Give start, start + 1, ... for each row, shape (rows, count)."""
    return start.unsqueeze(1) + torch.arange(count, device=start.device)
