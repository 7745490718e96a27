"""Entries of minus infinity, as attention masks have them.

No sum with an infinite bound stays meaningful, so such an entry is held as a finite number that is lower than anything
a network computes, and the tensor's `Ref` says where it has them. Operators that move entries move that knowledge;
those that give for minus infinity what they give for the placeholder (a softmax, a maximum) end it; all others are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.program import Ref
from robustsuite.errors import UnboundedOutput, UnsupportedOperator

aten = torch.ops.aten

_ROOM = 1024.0  # what a placeholder may be multiplied with before it overflows
_APART = 1e6  # by which other values stay smaller

# f(-inf) is a number, the same as f(placeholder), computed without a difference in which it is lost.
_BOUNDED_BELOW = {
    aten.exp.default,
    aten.sigmoid.default,
    aten.relu.default,
    aten.tanh.default,
    aten.hardtanh.default,
    aten.relu6.default,
}
# -inf is passed over unless there is nothing else along the axes, which are the second argument.
_OVER_AXES = {
    aten.softmax.int,
    aten._softmax.default,
    aten.logsumexp.default,
    aten.amax.default,
    aten.max.dim,
    aten.max.default,
}
_STAYS_OVER_AXES = {aten.log_softmax.int, aten._log_softmax.default}
# The operator itself says where the entries go.
_MOVES = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.t.default,
    aten.expand.default,
    aten.cat.default,
    aten.stack.default,
    aten.slice.Tensor,
    aten.select.int,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.flatten.using_ints,
    aten.repeat.default,
    aten.flip.default,
    aten.roll.default,
    aten.where.self,
    aten.index_select.default,
    aten.unfold.default,
    aten.constant_pad_nd.default,
    aten.clone.default,
    aten.contiguous.default,
    aten.alias.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
}


def placeholder(dtype: torch.dtype) -> float:
    """Give the number that stands for minus infinity."""
    return torch.finfo(dtype).min / _ROOM


def without_infinities(constant: Tensor, where: str) -> tuple[Tensor, Tensor | None]:
    """Put placeholders in the place of minus infinity, and say where; None where there is none.

    Raises:
        UnsupportedOperator: a number is NaN or plus infinity.
    """
    if not constant.is_floating_point() or bool(constant.detach().sum().isfinite()):
        return constant, None
    if bool((constant.isnan() | (constant == torch.inf)).any()):
        raise UnsupportedOperator(
            f"{where} takes a constant with NaN or inf, of which no bound can be made; use finite numbers "
            "(-inf is understood as a mask before softmax, logsumexp or a maximum)"
        )
    low = constant == -torch.inf
    if not bool(low.any()):
        return constant, None
    return constant.masked_fill(low, placeholder(constant.dtype)), low


def without_placeholders(sizes: Tensor) -> Tensor:
    """Give sizes of entries, with 0 for those of placeholders: minus infinity has no rounding."""
    return torch.where(sizes > -placeholder(sizes.dtype) / _APART, 0.0, sizes)


def stay_apart(inputs: Sequence[Bounds]) -> Bounds:
    """Give no interval, but check that none comes near to the placeholder (a `Refine`).

    Raises:
        UnboundedOutput: one does.
    """
    low, high = inputs[0].lower, inputs[0].upper
    limit = -placeholder(low.dtype) / _APART
    if bool((low.amin() < -limit) | (high.amax() > limit)):
        raise UnboundedOutput(
            "values beside a mask of -inf reach sizes near the largest number of their dtype; use a smaller eps"
        )
    return Bounds(torch.full_like(low, -torch.inf), torch.full_like(high, torch.inf))


def after(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], where: str) -> Tensor | None:
    """Say where the result of an operator has entries of minus infinity, if an argument has; None where nowhere.

    Raises:
        UnsupportedOperator: the operator makes of minus infinity what its rule does not know.
    """
    masks = [a.masked for a in _flat(args) if isinstance(a, Ref) and a.masked is not None]
    if target in _BOUNDED_BELOW:
        return None
    if target in _OVER_AXES | _STAYS_OVER_AXES:
        (mask,) = masks
        dims = args[1] if len(args) > 1 else list(range(mask.dim()))
        if bool((mask.amin(dims) if mask.dim() else mask).any()):
            raise UnsupportedOperator(
                f"{where} meets a row that is masked as a whole, which gives NaN or -inf"
            )
        return mask if target in _STAYS_OVER_AXES else None
    if target in _MOVES:
        if target is aten.constant_pad_nd.default:
            args = args[:2]  # what the padding itself is, its rule says
        moved = target(*_over(args, partial(_as_mask, device=masks[0].device)), **kwargs)
        assert isinstance(moved, Tensor)
        return moved.bool()
    if target in (aten.masked_fill.Scalar, aten.masked_fill.Tensor) and isinstance(args[1], Tensor):
        return masks[0] & ~args[1]
    first = args[0]
    adds = target in (aten.add.Tensor, aten.add.Scalar) and kwargs.get("alpha", 1) == 1
    subtracts = target in (aten.sub.Tensor, aten.sub.Scalar) and kwargs.get("alpha", 1) == 1
    if adds or (subtracts and not (isinstance(args[1], Ref) and args[1].masked is not None)):
        mask = masks[0]
        for other in masks[1:]:
            mask = mask | other
        return mask.expand(torch.broadcast_shapes(mask.shape, *(_shape(a) for a in args[:2])))
    scales = target in (aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar)
    if scales and isinstance(first, Ref) and first.masked is not None and not isinstance(args[1], Ref):
        factor = torch.as_tensor(args[1], dtype=torch.float64)
        factor = 1 / factor if target in (aten.div.Tensor, aten.div.Scalar) else factor
        if bool((factor > 1 / _ROOM).all() & (factor < _ROOM).all()):
            return first.masked.expand(torch.broadcast_shapes(first.shape, _shape(args[1])))
    raise UnsupportedOperator(
        f"{where} is given entries of -inf (of a mask); only softmax, logsumexp, maxima, exp, sigmoid, relu, tanh and "
        "operators that move entries understand them: fill with a finite number"
    )


def _flat(values: Any) -> list[Any]:
    return [v for value in values for v in (_flat(value) if isinstance(value, list | tuple) else [value])]


def _over(values: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(values, list | tuple):
        return [_over(value, function) for value in values]
    return function(values)


def _as_mask(value: Any, device: torch.device) -> Any:
    """Give a tensor's mask; a condition (a constant mask) and numbers as they are."""
    if isinstance(value, Ref) and value.masked is not None:
        return value.masked
    if isinstance(value, Ref) or (isinstance(value, Tensor) and value.is_floating_point()):
        return torch.zeros(value.shape, dtype=torch.bool, device=device)
    return value


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))
