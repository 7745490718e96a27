"""What all rule modules share: the type of a table, and small questions about shapes and constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robustsuite.bounds.program import Program, Ref, Shape

Rule = Callable[..., Ref | Tensor | tuple[Ref | None, ...] | None]
Table = dict[Any, Rule]
"""ATen overload -> rule. A rule takes the program and the operator's arguments (perturbed tensors as `Ref`,
constants as tensors), adds steps to the program and gives the operator's output: a tensor where that depends on shapes alone."""


def shape_of(function: Callable[[Tensor], Tensor], *shapes: Shape) -> Shape:
    """Give the shape for one example of what `function` makes of tensors with the rows in front."""
    empty = [torch.empty((1, *shape), device="meta") for shape in shapes]
    return tuple(function(*empty).shape[1:])


def constant_like(g: Program) -> dict[str, Any]:
    """Give the dtype and device of the program's inputs."""
    first = g.value(Ref(0, g.steps[0].shape))
    return {"dtype": first.dtype, "device": first.device}


def is_constant(value: Any) -> bool:
    """Say whether an operator's argument does not depend on the input."""
    return not isinstance(value, Ref)
