"""ONNX operators as torch functions: one line in `OPERATORS` adds one.

A function takes the operator's inputs in order (live tensors and float constants as tensors, integer and boolean
constants as numpy arrays, absent ones as None) and its attributes by name. Where an attribute of an old version
became an input later, one parameter serves both. Source: the ONNX operator schemas, versions 7 to 21.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from robustsuite.errors import UnsupportedOperator

Static = np.ndarray[Any, Any]
Function = Callable[..., Tensor | tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Operator:
    """How to run an operator.

    Attributes:
        function: for the versions of today.
        before: the version of the operator set up to which `old` is the function.
        old: see there.
        numbers: positions of float inputs that the function takes as numpy arrays, not as tensors.
    """

    function: Function
    before: int = 0
    old: Function | None = None
    numbers: tuple[int, ...] = ()

    def of(self, version: int) -> Function:
        """Give the function for a version of the operator set."""
        return self.old if self.old is not None and version < self.before else self.function


def _integers(values: Static | Sequence[int] | None) -> list[int]:
    return [] if values is None else [int(v) for v in np.asarray(values).ravel()]


def _number(value: Any) -> float:
    return float(np.asarray(value).item())


def _tensor(value: Tensor | Static, like: Tensor) -> Tensor:
    """Give a constant as a tensor on the device of `like`."""
    return value if isinstance(value, Tensor) else torch.tensor(value, device=like.device)


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return Operator(lambda x: function(x))


def _fold(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def apply(first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return Operator(apply)


def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
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


def _window(
    rank: int, space: Sequence[int], kernel: Sequence[int], attributes: dict[str, Any]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Give strides, dilations, and the padding before and after each axis, from attributes or `auto_pad`."""
    strides = list(attributes.get("strides", [1] * rank))
    dilations = list(attributes.get("dilations", [1] * rank))
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max(0, (math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n)
            for n, k, s, d in zip(space, kernel, strides, dilations, strict=True)
        ]
        less = [t // 2 for t in total]
        more = [t - half for t, half in zip(total, less, strict=True)]
        return strides, dilations, *((less, more) if auto == "SAME_UPPER" else (more, less))
    pads = list(attributes.get("pads", [0] * 2 * rank)) if auto == "NOTSET" else [0] * 2 * rank
    return strides, dilations, pads[:rank], pads[rank:]


def _flat_pads(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Give paddings in the order of `torch.nn.functional.pad`: last axis first."""
    return [p for pair in reversed(list(zip(before, after, strict=True))) for p in pair]


_CONV: dict[int, Any] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED: dict[int, Any] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
_MAX_POOL: dict[int, Any] = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVG_POOL: dict[int, Any] = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def _conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, group: int = 1, **attributes: Any
) -> Tensor:
    rank = weight.dim() - 2
    strides, dilations, before, after = _window(rank, x.shape[2:], weight.shape[2:], attributes)
    if before != after:
        x, before = functional.pad(x, _flat_pads(before, after)), [0] * rank
    y: Tensor = _CONV[rank](x, weight, bias, strides, before, dilations, group)
    return y


def _conv_transpose(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, group: int = 1, **attributes: Any
) -> Tensor:
    if attributes.get("output_shape") or attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise UnsupportedOperator(
            "ConvTranspose with output_shape or auto_pad is not known; export it with explicit pads"
        )
    rank = weight.dim() - 2
    strides, dilations, before, after = _window(rank, x.shape[2:], weight.shape[2:], attributes)
    extra = list(attributes.get("output_padding", [0] * rank))
    if before == after:
        y: Tensor = _TRANSPOSED[rank](x, weight, bias, strides, before, extra, group, dilations)
        return y
    whole: Tensor = _TRANSPOSED[rank](x, weight, bias, strides, 0, extra, group, dilations)
    return functional.pad(whole, [-p for p in _flat_pads(before, after)])


def _max_pool(x: Tensor, *, kernel_shape: Sequence[int], **attributes: Any) -> Tensor:
    rank = len(kernel_shape)
    strides, dilations, before, after = _window(rank, x.shape[2:], kernel_shape, attributes)
    ceil = bool(attributes.get("ceil_mode", 0))
    if before != after or any(2 * p > k for p, k in zip(before, kernel_shape, strict=True)):
        x, before = functional.pad(x, _flat_pads(before, after), value=-torch.inf), [0] * rank
    y: Tensor = _MAX_POOL[rank](x, list(kernel_shape), strides, before, dilations, ceil)
    return y


def _average_pool(
    x: Tensor, *, kernel_shape: Sequence[int], count_include_pad: int = 0, **attributes: Any
) -> Tensor:
    rank = len(kernel_shape)
    strides, dilations, before, after = _window(rank, x.shape[2:], kernel_shape, attributes)
    if any(d != 1 for d in dilations) or (before != after and not count_include_pad):
        raise UnsupportedOperator("AveragePool with dilations or uneven pads that do not count is not known")
    if before != after:
        x, before = functional.pad(x, _flat_pads(before, after)), [0] * rank
    ceil = bool(attributes.get("ceil_mode", 0))
    y: Tensor = _AVG_POOL[rank](x, list(kernel_shape), strides, before, ceil, bool(count_include_pad))
    return y


def _over_space(function: Callable[..., Tensor]) -> Operator:
    return Operator(lambda x: function(x, tuple(range(2, x.dim())), keepdim=True))


def _batch_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    training_mode: int = 0,
    **ignored: Any,
) -> Tensor:
    if training_mode:
        raise UnsupportedOperator(
            "BatchNormalization in training mode is not known; export the network in eval"
        )
    factor = scale / torch.sqrt(var + epsilon)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return x * factor.view(shape) + (bias - mean * factor).view(shape)


def _layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    return functional.layer_norm(x, x.shape[axis % x.dim() :], scale, bias, epsilon)


def _instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    y = functional.group_norm(x, x.shape[1], None, None, epsilon)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return y * scale.view(shape) + bias.view(shape)


def _group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    return functional.group_norm(x, num_groups, scale, bias, epsilon)


def _reshape(x: Tensor, shape: Static | Sequence[int], *, allowzero: int = 0) -> Tensor:
    sizes = _integers(shape)
    if not allowzero:
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    axis = axis if axis >= 0 else axis + x.dim()
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _squeeze(x: Tensor, axes: Static | Sequence[int] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(_integers(axes)))


def _unsqueeze(x: Tensor, axes: Static | Sequence[int]) -> Tensor:
    rank = x.dim() + len(_integers(axes))
    for axis in sorted(a % rank for a in _integers(axes)):
        x = x.unsqueeze(axis)
    return x


def _concat(*xs: Tensor, axis: int) -> Tensor:
    like = next(x for x in xs if isinstance(x, Tensor))
    return torch.cat([_tensor(x, like) for x in xs], axis)


def _split(
    x: Tensor,
    split: Static | Sequence[int] | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
) -> tuple[Tensor, ...]:
    if split is not None:
        return tuple(x.split(_integers(split), axis))
    if num_outputs is None:
        raise UnsupportedOperator("Split without sizes is not known; export it with the attribute split")
    return tuple(x.split(math.ceil(x.shape[axis] / num_outputs), axis))


def _slice(
    x: Tensor,
    starts: Static | Sequence[int],
    ends: Static | Sequence[int],
    axes: Static | Sequence[int] | None = None,
    steps: Static | Sequence[int] | None = None,
) -> Tensor:
    begins, stops = _integers(starts), _integers(ends)
    where = _integers(axes) if axes is not None else list(range(len(begins)))
    strides = _integers(steps) if steps is not None else [1] * len(begins)
    for begin, stop, axis, stride in zip(begins, stops, where, strides, strict=True):
        taken = range(x.shape[axis])[slice(begin, stop, stride)]
        if stride > 0:
            x = x.movedim(axis, 0)[taken.start : max(taken.start, taken.stop) : stride].movedim(0, axis)
        else:
            x = x.index_select(axis, torch.tensor(list(taken), device=x.device))
    return x


def _gather(x: Tensor, indices: Static, *, axis: int = 0) -> Tensor:
    size = x.shape[axis]
    index = torch.as_tensor(np.where(indices < 0, indices + size, indices), device=x.device)
    axis = axis % x.dim()
    taken = x.index_select(axis, index.reshape(-1))
    return taken.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _gather_elements(x: Tensor, indices: Static, *, axis: int = 0) -> Tensor:
    index = np.where(indices < 0, indices + x.shape[axis], indices)
    return x.gather(axis, torch.as_tensor(index, device=x.device))


def _pad(
    x: Tensor,
    pads: Static | Sequence[int],
    constant_value: Any = None,
    axes: Static | None = None,
    *,
    mode: str = "constant",
    value: float = 0.0,
) -> Tensor:
    sizes = _integers(pads)
    where = [a % x.dim() for a in _integers(axes)] if axes is not None else list(range(x.dim()))
    before, after = [0] * x.dim(), [0] * x.dim()
    for i, axis in enumerate(where):
        before[axis], after[axis] = sizes[i], sizes[i + len(where)]
    fill = value if constant_value is None else _number(constant_value)
    if mode == "constant":
        return functional.pad(x, _flat_pads(before, after), value=fill)
    names = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    space = max(1, x.dim() - 2)
    return functional.pad(x, _flat_pads(before[-space:], after[-space:]), mode=names[mode])


def _clip(x: Tensor, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Tensor:
    ends = [next((e for e in pair if e is not None), None) for pair in ((low, min), (high, max))]
    floor, ceiling = (None if end is None else _number(end) for end in ends)
    return x if floor is None and ceiling is None else x.clamp(floor, ceiling)


def _expand(x: Tensor, shape: Static) -> Tensor:
    return x.expand(torch.broadcast_shapes(tuple(x.shape), tuple(_integers(shape))))


def _reduction(function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Operator:
    def apply(
        x: Tensor,
        axes: Static | Sequence[int] | None = None,
        *,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Tensor:
        where = tuple(a % x.dim() for a in _integers(axes))
        if not where and noop_with_empty_axes:
            return x
        return function(x, where or tuple(range(x.dim())), bool(keepdims))

    return Operator(apply)


def _softmax_of(function: Callable[[Tensor, int], Tensor]) -> Operator:
    def before_13(x: Tensor, *, axis: int = 1) -> Tensor:
        return function(_flatten(x, axis=axis), 1).reshape(x.shape)

    return Operator(lambda x, axis=-1: function(x, axis), before=13, old=before_13)


def _where(condition: Tensor | Static, x: Tensor, y: Tensor) -> Tensor:
    like = next(t for t in (x, y, condition) if isinstance(t, Tensor))
    return torch.where(_tensor(condition, like), _tensor(x, like), _tensor(y, like))


def _resize(
    x: Tensor, *inputs: Static | None, mode: str = "nearest", scales: Any = None, **attributes: Any
) -> Tensor:
    """Enlarge by whole factors, nearest neighbour: what decoders export; other forms are refused."""
    given = [np.asarray(v) for v in (scales, *inputs) if v is not None and np.size(v)]
    if not given or mode != "nearest":
        raise UnsupportedOperator(f"Resize with mode {mode} is not known; nearest neighbour is")
    last = given[-1]
    if np.issubdtype(last.dtype, np.integer):
        factors = [size / n for size, n in zip(_integers(last), x.shape, strict=True)]
    else:
        factors = [float(v) for v in last]
    whole = [round(f) for f in factors]
    if any(abs(f - w) > 1e-6 or w < 1 for f, w in zip(factors, whole, strict=True)):
        raise UnsupportedOperator(f"Resize by {factors} is not known; whole factors are")
    for axis, factor in enumerate(whole):
        x = x if factor == 1 else x.repeat_interleave(factor, axis)
    return x


def _depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    if mode == "CRD":
        return functional.pixel_shuffle(x, blocksize)
    n, c, h, w = x.shape
    y = x.reshape(n, blocksize, blocksize, c // blocksize**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // blocksize**2, h * blocksize, w * blocksize)


def _space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * blocksize**2, h // blocksize, w // blocksize)


def _lp_normalize(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / norm


def _cum_sum(x: Tensor, axis: Static, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    where = int(axis)
    x = x.flip(where) if reverse else x
    y = x.cumsum(where)
    y = y - x if exclusive else y
    return y.flip(where) if reverse else y


def _trilu(x: Tensor, k: Static | None = None, *, upper: int = 1) -> Tensor:
    diagonal = 0 if k is None else int(k)
    return x.triu(diagonal) if upper else x.tril(diagonal)


OPERATORS: dict[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _fold(torch.add),
    "Atan": _unary(torch.atan),
    "AveragePool": Operator(_average_pool),
    "BatchNormalization": Operator(_batch_norm),
    "Cast": Operator(lambda x, to, **_: x),  # live tensors are floating, and stay in the network's dtype
    "Celu": Operator(lambda x, alpha=1.0: functional.celu(x, alpha)),
    "Clip": Operator(_clip, numbers=(1, 2)),
    "Concat": Operator(_concat),
    "Conv": Operator(_conv),
    "ConvTranspose": Operator(_conv_transpose),
    "Cos": _unary(torch.cos),
    "CumSum": Operator(_cum_sum),
    "DepthToSpace": Operator(_depth_to_space),
    "Div": _fold(torch.div),
    "Dropout": Operator(lambda x, *_, **__: x),
    "Einsum": Operator(lambda *xs, equation: torch.einsum(equation, *xs)),
    "Elu": Operator(lambda x, alpha=1.0: functional.elu(x, alpha)),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Expand": Operator(_expand),
    "Flatten": Operator(_flatten),
    "Floor": _unary(torch.floor),
    "Gather": Operator(_gather),
    "GatherElements": Operator(_gather_elements),
    "Gelu": Operator(lambda x, approximate="none": functional.gelu(x, approximate=approximate)),
    "Gemm": Operator(_gemm),
    "GlobalAveragePool": _over_space(torch.mean),
    "GlobalMaxPool": _over_space(torch.amax),
    "GroupNormalization": Operator(_group_norm),
    "HardSigmoid": Operator(lambda x, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1)),
    "HardSwish": _unary(functional.hardswish),
    "Identity": Operator(lambda x: x),
    "InstanceNormalization": Operator(_instance_norm),
    "LayerNormalization": Operator(_layer_norm),
    "LeakyRelu": Operator(lambda x, alpha=0.01: functional.leaky_relu(x, alpha)),
    "Log": _unary(torch.log),
    "LogSoftmax": _softmax_of(torch.log_softmax),
    "LpNormalization": Operator(_lp_normalize),
    "MatMul": _fold(torch.matmul),
    "Max": _fold(torch.maximum),
    "MaxPool": Operator(_max_pool),
    "Mean": Operator(lambda *xs: sum(xs[1:], xs[0]) / len(xs)),
    "Min": _fold(torch.minimum),
    "Mish": _unary(functional.mish),
    "Mul": _fold(torch.mul),
    "Neg": _unary(torch.neg),
    "PRelu": Operator(lambda x, slope: x.clamp(min=0) + slope * x.clamp(max=0)),
    "Pad": Operator(_pad, numbers=(2,)),
    "Pow": Operator(lambda x, y: torch.pow(x, _number(y)), numbers=(1,)),
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceL1": _reduction(lambda x, axes, keep: x.abs().sum(axes, keep)),
    "ReduceL2": _reduction(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceMin": _reduction(torch.amin),
    "ReduceSum": _reduction(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceSumSquare": _reduction(lambda x, axes, keep: x.square().sum(axes, keep)),
    "Relu": _unary(functional.relu),
    "Reshape": Operator(_reshape),
    "Resize": Operator(_resize, numbers=(1, 2)),
    "Selu": Operator(lambda x, alpha=1.6732632, gamma=1.0507010: gamma * functional.elu(x, alpha)),
    "Sigmoid": _unary(torch.sigmoid),
    "Sign": _unary(torch.sign),
    "Sin": _unary(torch.sin),
    "Slice": Operator(_slice),
    "Softmax": _softmax_of(torch.softmax),
    "Softplus": _unary(functional.softplus),
    "Softsign": _unary(lambda x: x / (1 + x.abs())),
    "SpaceToDepth": Operator(_space_to_depth),
    "Split": Operator(_split),
    "Sqrt": _unary(torch.sqrt),
    "Squeeze": Operator(_squeeze),
    "Sub": _fold(torch.sub),
    "Sum": _fold(torch.add),
    "Tan": _unary(torch.tan),
    "Tanh": _unary(torch.tanh),
    "ThresholdedRelu": Operator(lambda x, alpha=1.0: functional.threshold(x, alpha, 0.0)),
    "Tile": Operator(lambda x, repeats: x.repeat(_integers(repeats))),
    "Transpose": Operator(lambda x, perm=None: x.permute(perm or tuple(reversed(range(x.dim()))))),
    "Trilu": Operator(_trilu),
    "Unsqueeze": Operator(_unsqueeze),
    "Upsample": Operator(_resize, numbers=(1, 2)),
    "Where": Operator(_where),
}
