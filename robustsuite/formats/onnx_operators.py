"""ONNX operators as torch functions: one line in `OPERATORS` adds one.

A function takes the operator's inputs in order (tensors; numpy arrays for those that must be constants; None for
absent ones) and its attributes by name. What its signature does not name is not read, and is refused where a file
sets it (see `robustsuite.formats.onnx_nodes`). Where an attribute of an old version became an input later, one
parameter serves both. Source: the ONNX operator schemas, versions 7 to 25.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import UnsupportedOperator
from robustsuite.formats import onnx_entries as entries
from robustsuite.formats import onnx_recurrent as recurrent
from robustsuite.formats import onnx_windows as windows
from robustsuite.formats.onnx_resize import resize, resize_10
from robustsuite.formats.onnx_types import ANY, BOOLS, FLOATS, Static, dtype_of

Function = Callable[..., Tensor | tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Operator:
    """How to run an operator.

    Attributes:
        function: for the versions of today.
        before: the version of the operator set up to which `old` is the function.
        old: see there.
        static: positions of the inputs that must be constants: the function takes them as numpy arrays.
        takes: types of the other inputs that the function computes with.
        counts: whether the function takes the number of the node's outputs, as `num_outputs`.
        alone: whether a node may give one output only: the operator computes something else where it gives more.
        cancels: whether runtimes compute it in float32 by a form that cancels (E[x^2] - E[x]^2), and so err by more
            than what is bounded of the function itself.
    """

    function: Function
    before: int = 0
    old: Function | None = None
    static: tuple[int, ...] = ()
    takes: frozenset[torch.dtype] = FLOATS
    counts: bool = False
    alone: bool = False
    cancels: bool = False

    def of(self, version: int) -> Function:
        """Give the function for a version of the operator set."""
        return self.old if self.old is not None and version < self.before else self.function


def _unary(function: Callable[[Tensor], Tensor], *, takes: frozenset[torch.dtype] = FLOATS) -> Operator:
    return Operator(lambda x, /: function(x), takes=takes)


def _binary(
    function: Callable[[Tensor, Tensor], Tensor], *, takes: frozenset[torch.dtype] = FLOATS
) -> Operator:
    return Operator(lambda x, y, /: function(x, y), takes=takes)


def _fold(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def apply(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return Operator(apply)


def _moving(function: Function, *static: int, counts: bool = False) -> Operator:
    return Operator(function, static=static, takes=ANY, counts=counts)


def _cast(x: Tensor, like: Tensor | None = None, *, to: int, saturate: int = 1) -> Tensor:
    """Cast to a type, or to that of `like`. `saturate` is about types that are refused."""
    return x.to(dtype_of(to, "the type to cast to") if like is None else like.dtype)


def _cast_like(x: Tensor, like: Tensor, *, saturate: int = 1) -> Tensor:
    return x.to(like.dtype)


def _gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float, beta: float, transA: int, transB: int
) -> Tensor:
    a = a.transpose(0, 1) if transA else a
    b = b if alpha == 1 else alpha * b
    weight = b if transB else b.transpose(0, 1)
    if c is not None and beta != 1:
        c = beta * c
    if c is not None and c.dim() == 1 and len(c) == len(weight):
        return functional.linear(a, weight, c)
    product = functional.linear(a, weight)
    return product if c is None else product + c


def _over_space(function: Callable[..., Tensor]) -> Operator:
    def apply(x: Tensor, /) -> Tensor:
        if x.dim() < 3:
            raise UnsupportedOperator(
                f"its input has {x.dim()} axes; expected axes of space after the first two"
            )
        return function(x, tuple(range(2, x.dim())), keepdim=True)

    return Operator(apply)


def _of_channels(weight: Tensor, x: Tensor) -> Tensor:
    """Give a weight per channel the shape that goes with x."""
    return weight.view((1, -1) + (1,) * (x.dim() - 2))


def _batch_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float,
    momentum: float,  # of the running statistics, which do not run
    training_mode: int = 0,
) -> Tensor:
    if training_mode:
        raise UnsupportedOperator("training_mode is 1; expected 0; export the network in eval mode")
    factor = scale / torch.sqrt(var + epsilon)
    return x * _of_channels(factor, x) + _of_channels(bias - mean * factor, x)


def _dropout(
    x: Tensor,
    ratio: Any = None,  # of training, as the seed
    training_mode: Static | None = None,
    *,
    seed: int | None = None,
) -> Tensor:
    if training_mode is not None and bool(training_mode):
        raise UnsupportedOperator("training_mode is True; expected False; export the network in eval mode")
    return x


def _layer_norm(x: Tensor, scale: Tensor, bias: Tensor | None = None, *, axis: int, epsilon: float) -> Tensor:
    shape = x.shape[axis % x.dim() :]
    if scale.shape == shape and (bias is None or bias.shape == shape):
        return functional.layer_norm(x, shape, scale, bias, epsilon)
    y = functional.layer_norm(x, shape, None, None, epsilon) * scale
    return y if bias is None else y + bias


def _instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float) -> Tensor:
    y = functional.group_norm(x, x.shape[1], None, None, epsilon)
    return y * _of_channels(scale, x) + _of_channels(bias, x)


def _group_norm(x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float) -> Tensor:
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


def _group_norm_before_21(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float
) -> Tensor:
    """Take a scale and a bias for each group, not for each channel."""
    size = x.shape[1] // num_groups
    scale, bias = scale.repeat_interleave(size), bias.repeat_interleave(size)
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


def _clip(x: Tensor, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    ends = [next((e for e in pair if e is not None), None) for pair in ((low, min), (high, max))]
    floor, ceiling = (None if end is None else entries.number(end) for end in ends)
    most = torch.finfo(x.dtype).max  # limits from here on, which old versions have by default, limit nothing
    floor = None if floor is None or floor <= -most else floor
    ceiling = None if ceiling is None or ceiling >= most else ceiling
    return x if floor is None and ceiling is None else x.clamp(floor, ceiling)


def _reduction(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Operator:
    def apply(
        x: Tensor,
        axes: Static | Sequence[int] | None = None,
        *,
        keepdims: int,
        noop_with_empty_axes: int = 0,
    ) -> Tensor:
        where = tuple(a % x.dim() for a in entries.integers(axes))
        if not where and noop_with_empty_axes:
            return function(x.unsqueeze(-1), (-1,), False)  # of each entry alone
        return function(x, where or tuple(range(x.dim())), bool(keepdims))

    return Operator(apply, static=(1,))


def _softmax_of(function: Callable[[Tensor, int], Tensor]) -> Operator:
    def before_13(x: Tensor, *, axis: int) -> Tensor:
        return function(entries.flatten(x, axis=axis), 1).reshape(x.shape)

    def today(x: Tensor, *, axis: int) -> Tensor:
        return function(x, axis)

    return Operator(today, before=13, old=before_13)


def _lp_normalize(x: Tensor, *, axis: int, p: int) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / norm


def _cum_sum(x: Tensor, axis: Static, *, exclusive: int, reverse: int) -> Tensor:
    where = int(entries.number(axis))
    x = x.flip(where) if reverse else x
    y = x.cumsum(where)
    y = y - x if exclusive else y
    return y.flip(where) if reverse else y


def _celu(x: Tensor, *, alpha: float) -> Tensor:
    return functional.celu(x, alpha)


def _elu(x: Tensor, *, alpha: float) -> Tensor:
    return functional.elu(x, alpha)


def _selu(x: Tensor, *, alpha: float, gamma: float) -> Tensor:
    return gamma * functional.elu(x, alpha)


def _leaky_relu(x: Tensor, *, alpha: float) -> Tensor:
    return functional.leaky_relu(x, alpha)


def _thresholded_relu(x: Tensor, *, alpha: float) -> Tensor:
    return functional.threshold(x, alpha, 0.0)


def _hard_sigmoid(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


def _gelu(x: Tensor, *, approximate: str) -> Tensor:
    return functional.gelu(x, approximate=approximate)


def _einsum(*xs: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *xs)


def _mean(*xs: Tensor) -> Tensor:
    return sum(xs[1:], xs[0]) / len(xs)


def _p_relu(x: Tensor, slope: Tensor) -> Tensor:
    return x.clamp(min=0) + slope * x.clamp(max=0)


def _power(x: Tensor, y: Static) -> Tensor:
    return torch.pow(x, entries.number(y))


OPERATORS: dict[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and, takes=BOOLS),
    "Atan": _unary(torch.atan),
    "AveragePool": Operator(windows.average_pool),
    "BatchNormalization": Operator(_batch_norm, alone=True),
    "Cast": Operator(_cast, takes=ANY),
    "CastLike": Operator(_cast_like, takes=ANY),
    "Ceil": _unary(lambda x: -torch.floor(-x)),
    "Celu": Operator(_celu),
    "Clip": Operator(_clip, static=(1, 2)),
    "Concat": _moving(entries.concat),
    "Conv": Operator(windows.conv),
    "ConvTranspose": Operator(windows.conv_transpose),
    "Cos": _unary(torch.cos),
    "CumSum": Operator(_cum_sum, static=(1,)),
    "DepthToSpace": _moving(entries.depth_to_space),
    "Div": _binary(torch.div),
    "Dropout": Operator(_dropout, static=(1, 2)),
    "Einsum": Operator(_einsum),
    "Elu": Operator(_elu),
    "Equal": _binary(torch.eq, takes=ANY),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Expand": _moving(entries.expand, 1),
    "Flatten": _moving(entries.flatten),
    "Floor": _unary(torch.floor),
    "GRU": Operator(recurrent.gru, static=(4,)),
    "Gather": _moving(entries.gather, 1),
    "GatherElements": _moving(entries.gather_elements, 1),
    "Gelu": Operator(_gelu),
    "Gemm": Operator(_gemm),
    "GlobalAveragePool": _over_space(torch.mean),
    "GlobalMaxPool": _over_space(torch.amax),
    "Greater": _binary(torch.gt, takes=ANY),
    "GreaterOrEqual": _binary(torch.ge, takes=ANY),
    "GroupNormalization": Operator(_group_norm, before=21, old=_group_norm_before_21, cancels=True),
    "HardSigmoid": Operator(_hard_sigmoid),
    "HardSwish": Operator(lambda x, /: functional.hardswish(x)),
    "Identity": _moving(lambda x, /: x),
    "InstanceNormalization": Operator(_instance_norm),
    "LSTM": Operator(recurrent.lstm, static=(4,)),
    "LayerNormalization": Operator(_layer_norm),
    "LeakyRelu": Operator(_leaky_relu),
    "Less": _binary(torch.lt, takes=ANY),
    "LessOrEqual": _binary(torch.le, takes=ANY),
    "Log": _unary(torch.log),
    "LogSoftmax": _softmax_of(torch.log_softmax),
    "LpNormalization": Operator(_lp_normalize),
    "MatMul": _binary(torch.matmul),
    "Max": _fold(torch.maximum),
    "MaxPool": Operator(windows.max_pool),
    "Mean": Operator(_mean),
    "Min": _fold(torch.minimum),
    "Mish": _unary(functional.mish),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not, takes=BOOLS),
    "Or": _binary(torch.logical_or, takes=BOOLS),
    "PRelu": Operator(_p_relu),
    "Pad": _moving(entries.pad, 1, 2, 3),
    "Pow": Operator(_power, static=(1,)),
    "RNN": Operator(recurrent.rnn, static=(4,)),
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceLogSum": _reduction(lambda x, axes, keep: x.sum(axes, keep).log()),
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceMin": _reduction(torch.amin),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Relu": _unary(functional.relu),
    "Reshape": _moving(entries.reshape, 1),
    "Resize": Operator(resize, before=11, old=resize_10, static=(1, 2, 3)),
    "Round": _unary(torch.round),
    "Selu": Operator(_selu),
    "Sigmoid": Operator(lambda x, /: torch.sigmoid(x)),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Slice": _moving(entries.slice_, 1, 2, 3, 4),
    "Softmax": _softmax_of(torch.softmax),
    "Softplus": _unary(functional.softplus),
    "Softsign": _unary(lambda x: x / (1 + x.abs())),
    "SpaceToDepth": _moving(entries.space_to_depth),
    "Split": _moving(entries.split, 1, counts=True),
    "Sqrt": _unary(torch.sqrt),
    "Squeeze": Operator(entries.squeeze, before=11, old=entries.squeeze_before_11, static=(1,), takes=ANY),
    "Sub": _binary(torch.sub),
    "Sum": _fold(torch.add),
    "Tan": _unary(torch.tan),
    "Tanh": _unary(torch.tanh),
    "ThresholdedRelu": Operator(_thresholded_relu),
    "Tile": _moving(entries.tile, 1),
    "Transpose": _moving(entries.transpose),
    "Trilu": _moving(entries.trilu, 1),
    "Unsqueeze": Operator(
        entries.unsqueeze, before=11, old=entries.unsqueeze_before_11, static=(1,), takes=ANY
    ),
    "Upsample": Operator(resize_10, static=(1,)),
    "Where": _moving(lambda condition, x, y, /: torch.where(condition, x, y)),
    "Xor": _binary(torch.logical_xor, takes=BOOLS),
}
