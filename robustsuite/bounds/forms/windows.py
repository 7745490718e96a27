"""Linear forms inside a window of an image: what a convolution makes of one pixel.

Early layers of a convolutional net see a small part of the image, so this saves most of the work and memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.linear_form import Dense, LinearForm
from robustsuite.perturbations.norms import pairing


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

    def add(self, other: LinearForm) -> LinearForm:
        if isinstance(other, Windows) and self.aligned(other):
            return self.merge(other)
        return LinearForm.add(self, other)

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
