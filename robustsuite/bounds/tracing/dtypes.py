"""Which dtypes a network may compute in, for bounds that are made in the dtype of its inputs.

Bounds speak of real numbers. What is computed in a coarser floating point dtype, or in whole numbers that may
overflow, is another function; it is refused by name. Casts themselves are understood (`rules.casting`), and so are
operators that compute nothing: that move, compare or choose.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, fx

from robustsuite.bounds.rules import casting, indexing, shape
from robustsuite.errors import UnsupportedOperator

aten = torch.ops.aten

_EXACT = {
    *casting.TABLE,
    *shape.TABLE,
    *indexing.TABLE,
    aten.relu.default,
    aten.relu6.default,
    aten.abs.default,
    aten.neg.default,
    aten.sign.default,
    aten.floor.default,
    aten.ceil.default,
    aten.round.default,
    aten.trunc.default,
    aten.hardtanh.default,
    aten.clamp.default,
    aten.clamp.Tensor,
    aten.clamp_min.default,
    aten.clamp_max.default,
    aten.maximum.default,
    aten.minimum.default,
    aten.amax.default,
    aten.amin.default,
    aten.max.default,
    aten.min.default,
    aten.max.dim,
    aten.min.dim,
    aten.where.self,
    aten.masked_fill.Scalar,
    aten.masked_fill.Tensor,
    aten.max_pool2d_with_indices.default,
    aten.max_pool3d_with_indices.default,
} - {aten.upsample_bilinear2d.vec, aten.tril.default, aten.triu.default}
# A few sums of whole numbers that come from casts or counts stay far below 2^63.
_SUMS_OF_WHOLE = {
    aten.add.Tensor,
    aten.add.Scalar,
    aten.sub.Tensor,
    aten.sub.Scalar,
    aten.rsub.Scalar,
    aten.sum.default,
    aten.sum.dim_IntList,
    aten.cumsum.default,
}
_LOGICAL = {
    aten.eq,
    aten.ne,
    aten.gt,
    aten.ge,
    aten.lt,
    aten.le,
    aten.logical_and,
    aten.logical_or,
    aten.logical_not,
    aten.logical_xor,
    aten.any,
    aten.all,
    aten.isnan,
    aten.isinf,
    aten.add,
    aten.mul,
}


def check(node: fx.Node, perturbed: Collection[fx.Node], inputs: torch.dtype, where: str) -> None:
    """Check that an operator on perturbed tensors computes in a dtype that bounds can follow.

    Args:
        node: of the traced graph.
        perturbed: the nodes that depend on the input.
        inputs: the dtype of the network's inputs.
        where: for messages.

    Raises:
        UnsupportedOperator: it does not.
    """
    target = node.target
    results = node.meta.get("val")  # an assertion gives nothing
    results = results if isinstance(results, list | tuple) else [results]
    sources = {n.meta["val"].dtype for n in node.all_input_nodes if n in perturbed and _is_tensor(n)}
    for result in results[:1]:  # further ones are indices and statistics, which no rule gives
        if not isinstance(result, Tensor):
            continue
        dtype = result.dtype
        if dtype.is_complex or any(source.is_complex for source in sources):
            raise _refused(where, "computes with complex numbers")
        if target in _EXACT:
            continue
        if dtype == torch.bool:
            if getattr(target, "overloadpacket", None) not in _LOGICAL:
                raise _refused(where, "gives booleans")
        elif dtype.is_floating_point:
            if torch.finfo(dtype).eps > torch.finfo(inputs).eps:
                raise _refused(where, f"computes in {dtype}, coarser than the input's {inputs}")
        elif dtype != torch.int64 or target not in _SUMS_OF_WHOLE:
            raise _refused(where, f"computes in {dtype}, where results may overflow")
        elif any(source.is_floating_point for source in sources):
            raise _refused(where, f"is given dtype={dtype} for floating point numbers")


def _is_tensor(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _refused(where: str, what: str) -> UnsupportedOperator:
    return UnsupportedOperator(
        f"{where} {what}; bounds follow the dtype of the network's input: cast with .to(x.dtype) before this operator"
    )
