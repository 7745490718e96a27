"""Convolutions, transposed convolutions too, in one to three dimensions, with stride, padding, dilation, groups."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.forms.linear_form import LinearForm, Shape
from robustsuite.bounds.forms.picks import OneHot
from robustsuite.bounds.forms.windows import Windows
from robustsuite.bounds.operations import Affine
from robustsuite.bounds.program import Program, Ref
from robustsuite.bounds.rules.arithmetic import add
from robustsuite.bounds.rules.kernel import convolve_transposed_with, convolve_with
from robustsuite.bounds.rules.shape import reshape
from robustsuite.bounds.rules.table import Table
from robustsuite.bounds.rules.transposing import channels_last, has_shortcut, transposed_convolution

aten = torch.ops.aten

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED: dict[int, Any] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
_WASTE, _WASTE_FEW_CHANNELS = 5.0, 16.0  # arithmetic of a matrix over that of a convolution: measured on CPU
_WINDOWS_UP_TO = 0.6  # of the image: beyond, windows cost more than dense coefficients


class _WithKernel(Affine):
    """What both kinds of convolution have in common.

    Args:
        weight, bias: of the convolution.
        before: shape of the input for one example.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, before: Shape) -> None:
        self._weight, self._bias, self._before = weight, bias, before
        self._dims = weight.dim() - 2

    @abstractmethod
    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve (rows, *before) with another kernel of the same shape."""

    def forward(self, *xs: Tensor) -> Tensor:
        return self._convolve(xs[0], self._weight, self._bias)

    def interval(self, *xs: Bounds) -> Bounds:
        total, width = xs[0].sum_and_width()
        bias = None if self._bias is None else 2 * self._bias
        return Bounds.centered(
            self._convolve(total, self._weight, bias), self._convolve(width, self._weight.abs(), None)
        )

    def offset(self) -> Tensor | None:
        if self._bias is None:
            return None
        lead = (1,) * (len(self._before) - self._dims - 1)
        return self._bias.view(1, *lead, -1, *(1,) * self._dims)

    def linear(self, *xs: Tensor) -> Tensor:
        return self._convolve(xs[0], self._weight, None)


class Convolution(_WithKernel):
    """A convolution of an example of shape (1, channels, *space), or (channels, *space).

    Coefficients go back through the transposed convolution; from a single neuron they stay inside its window.

    Args:
        weight, bias, stride, padding, dilation, groups: as in `torch.nn.functional.conv2d`.
        before: shape of the input for one example.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
        before: Shape,
    ) -> None:
        super().__init__(weight, bias, before)
        self._groups = groups
        self._stride, self._padding, self._dilation = tuple(stride), tuple(padding), tuple(dilation)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        images = channels_last(x.reshape(-1, *self._before[-self._dims - 1 :]), weight)
        y = _CONV[self._dims](images, weight, bias, self._stride, self._padding, self._dilation, self._groups)
        return y.view(len(x), *self._before[: -self._dims - 1], *y.shape[1:])

    def terms(self) -> int:
        outer, inner, *kernel = self._weight.shape
        return max(inner, outer // self._groups) * math.prod(kernel)

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        if self._dims == 2 and isinstance(form, OneHot) and math.prod(form.shape[:-3]) == 1:
            form = form.windows()
        if isinstance(form, Windows):
            windows = self._adjoint_of_windows(form.cut())
            area = windows.coefficients.shape[-2] * windows.coefficients.shape[-1]
            if area <= _WINDOWS_UP_TO * self._before[-1] * self._before[-2]:
                return (windows,)
            return (windows.dense(),)
        dense = form.dense()
        rows, specs = dense.a.shape[:2]
        after = dense.a.shape[-self._dims - 1 :]
        space = self._before[-self._dims :]
        covered = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                after[1:], self._stride, self._padding, self._dilation, self._weight.shape[2:], strict=True
            )
        ]
        rest = [n - c for n, c in zip(space, covered, strict=True)]
        training = (
            torch.is_grad_enabled() and self._weight.requires_grad
        )  # the library's own gradient is cheaper
        if self._dims == 2 and not training and has_shortcut(self._weight, *self._how):
            whole = self._transposed(dense.a.reshape(-1, *after))
            ends = [(p, n + p - w) for p, n, w in zip(self._padding, space, whole.shape[-2:], strict=True)]
            whole = functional.pad(whole, (-ends[1][0], ends[1][1], -ends[0][0], ends[0][1]))
            return (dense.like(whole.reshape(rows, specs, *self._before)),)
        a = _TRANSPOSED[self._dims](
            channels_last(dense.a.reshape(-1, *after), self._weight),
            self._weight,
            None,
            self._stride,
            self._padding,
            rest,
            self._groups,
            self._dilation,
        )
        return (dense.like(a.view(rows, specs, *self._before)),)

    def _adjoint_of_windows(self, form: Windows) -> Windows:
        rows, specs = form.coefficients.shape[:2]
        a = self._spread(form.coefficients.flatten(0, 1))
        strides = tuple(f * s for f, s in zip(form.stride, self._stride, strict=True))
        starts = tuple(f * s - p for f, s, p in zip(form.start, self._stride, self._padding, strict=True))
        return Windows(
            rows=form.rows,
            shape=self._before,
            coefficients=a.unflatten(0, (rows, specs)),
            row=form.row,
            column=form.column,
            stride=(strides[0], strides[1]),
            start=(starts[0], starts[1]),
        )

    def _spread(self, windows: Tensor) -> Tensor:
        """Apply the transposed convolution without padding to windows (count, channels, height, width)."""

        count, *shape = windows.shape
        size = math.prod(shape)
        after = [
            (n - 1) * s + d * (k - 1) + 1
            for n, s, d, k in zip(
                shape[1:], self._stride, self._dilation, self._weight.shape[2:], strict=True
            )
        ]
        channels = self._weight.shape[1] * self._groups
        waste = math.prod(after) / math.prod(self._weight.shape[2:])
        if count < 4 * size or waste > (_WASTE_FEW_CHANNELS if channels <= 4 else _WASTE) or self._groups > 1:
            return self._transposed(windows)
        # One matrix for the whole window: more arithmetic than the convolution, and still faster.
        eye = torch.eye(size, dtype=windows.dtype, device=windows.device)
        image = eye.view(size, shape[1], shape[2], shape[0]).permute(0, 3, 1, 2)
        matrix = self._transposed(image).permute(0, 2, 3, 1).reshape(size, -1)
        spread = windows.permute(0, 2, 3, 1).reshape(count, size) @ matrix
        return spread.view(count, *after, channels).permute(0, 3, 1, 2)

    @property
    def _how(self) -> tuple[tuple[int, int], tuple[int, int], int]:
        high, wide = self._stride
        return (high, wide), (self._dilation[0], self._dilation[1]), self._groups

    def _transposed(self, images: Tensor) -> Tensor:
        stride, dilation, groups = self._how
        return transposed_convolution(images, self._weight, stride=stride, dilation=dilation, groups=groups)


class TransposedConvolution(_WithKernel):
    """A transposed convolution; its coefficients go back through the plain one.

    Args:
        weight, bias, stride, padding, output_padding, groups, dilation: as in
            `torch.nn.functional.conv_transpose2d`.
        before: shape of the input for one example, (1, channels, *space) or (channels, *space).
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
        output_padding: Sequence[int],
        groups: int,
        dilation: Sequence[int],
        before: Shape,
    ) -> None:
        super().__init__(weight, bias, before)
        self._groups = groups
        self._stride, self._padding, self._dilation = tuple(stride), tuple(padding), tuple(dilation)
        self._output_padding = tuple(output_padding)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        images = x.reshape(-1, *self._before[-self._dims - 1 :])
        y = _TRANSPOSED[self._dims](
            images,
            weight,
            bias,
            self._stride,
            self._padding,
            self._output_padding,
            self._groups,
            self._dilation,
        )
        y = y.view(len(x), *self._before[: -self._dims - 1], *y.shape[1:])
        assert isinstance(y, Tensor)
        return y

    def terms(self) -> int:
        inner, outer, *kernel = self._weight.shape
        return max(inner // self._groups, outer) * math.prod(kernel)

    def adjoint(self, form: LinearForm) -> tuple[LinearForm, ...]:
        dense = form.dense()
        rows, specs = dense.a.shape[:2]
        a = _CONV[self._dims](
            dense.a.reshape(-1, *dense.a.shape[-self._dims - 1 :]),
            self._weight,
            None,
            self._stride,
            self._padding,
            self._dilation,
            self._groups,
        )
        # A stride that does not divide leaves rows at the far end which no input reaches.
        a = a[(slice(None), slice(None), *(slice(0, n) for n in self._before[-self._dims :]))]
        return (dense.like(a.reshape(rows, specs, *self._before)),)


def convolution(
    g: Program,
    x: Ref | Tensor,
    weight: Ref | Tensor,
    bias: Ref | Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool = False,
    output_padding: Sequence[int] = (0,),
    groups: int = 1,
) -> Ref:
    """Convolve; the common case has a perturbed `x` alone."""
    dims = len(weight.shape) - 2
    stride, padding, dilation, output_padding = (
        tuple(v) * dims if len(v) == 1 else tuple(v) for v in (stride, padding, dilation, output_padding)
    )
    if not isinstance(x, Ref) or not isinstance(weight, Tensor) or isinstance(bias, Ref):
        product: Ref | Tensor
        if isinstance(weight, Ref) and transposed:
            product = convolve_transposed_with(
                g,
                x,
                weight,
                stride=stride,
                padding=padding,
                output_padding=output_padding,
                dilation=dilation,
                groups=groups,
            )
        elif isinstance(weight, Ref):
            product = convolve_with(
                g, x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups
            )
        elif isinstance(x, Ref):
            product = convolution(
                g, x, weight, None, stride, padding, dilation, transposed, output_padding, groups
            )
        else:
            product = aten.convolution.default(
                x, weight, None, stride, padding, dilation, transposed, output_padding, groups
            )
        if bias is None:
            assert isinstance(product, Ref)
            return product
        column = (-1, *(1,) * dims)
        return add(g, product, reshape(g, bias, column))
    op: Convolution | TransposedConvolution
    if transposed:
        op = TransposedConvolution(weight, bias, stride, padding, output_padding, groups, dilation, x.shape)
    else:
        op = Convolution(weight, bias, stride, padding, dilation, groups, x.shape)
    space = [
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1 if transposed else (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, s, p, d, k, o in zip(
            x.shape[-dims:], stride, padding, dilation, weight.shape[2:], output_padding, strict=True
        )
    ]
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    return g.emit(op, x, shape=(*x.shape[: -dims - 1], channels, *space))


TABLE: Table = {aten.convolution.default: convolution}
