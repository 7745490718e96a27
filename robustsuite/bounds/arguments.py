"""Checks of what the public functions of bounds are given, each made once at their entry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.arguments import check_callable, check_kind, check_labels, check_number, described
from robustsuite.bounds.forms.margins import Margins
from robustsuite.bounds.tracing.graph import Graph
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Region

Regions = Region | tuple[Region, ...]
Objective = Tensor | Margins
"""Rows of linear functions of the output, or a classifier's margins."""


def as_regions(region: Regions) -> tuple[Region, ...]:
    """Give a tuple of regions.

    Raises:
        InvalidInput: something else, such as a radius or a perturbation that is not bound to a batch yet.
    """
    regions = region if isinstance(region, tuple) else (region,)
    if not regions:
        raise InvalidInput("region is an empty tuple; expected one region per input of the network")
    for one in regions:
        check_kind(
            one, Region, "region", "a region around a batch, such as Linf(0.1).around(x), or a tuple of these"
        )
    return regions


def checked(net: Graph, region: Regions, objective: Objective | None = None) -> tuple[Region, ...]:
    """Check what every bound method takes, and give the regions as a tuple.

    Raises:
        InvalidInput: no graph, no region, or an objective that is no tensor of finite numbers.
    """
    check_kind(net, Graph, "net", "a graph: pass bounds.trace(module, example)")
    regions = as_regions(region)
    if objective is not None and not isinstance(objective, Margins):
        check_finite(objective, "objective")
    return regions


def check_finite(value: object, name: str) -> None:
    """Check that a value is a tensor of finite numbers.

    Raises:
        InvalidInput: it is not.
    """
    check_kind(value, Tensor, name, "a tensor of numbers: torch.as_tensor(...)")
    assert isinstance(value, Tensor)
    if value.layout != torch.strided or value.is_meta or value.is_complex():
        raise InvalidInput(
            f"{name} is {described(value)} on {value.device}; expected a dense tensor of real numbers"
        )
    if not bool(torch.isfinite(value).all()):
        raise InvalidInput(f"{name} has NaN or infinite values; expected finite numbers: remove those rows")


def check_memory(max_memory: object) -> None:
    """Check the bytes that a pass may take.

    Raises:
        InvalidInput: below 1, or no integer.
    """
    check_number("max_memory", max_memory, integer=True, least=1)


def check_classifier(net: Graph, regions: Sequence[Region], labels: object) -> None:
    """Check the labels for a classifier's region.

    Raises:
        InvalidInput: the output is not one row of logits, or the labels are not one integer per example. That they are
            classes, `margins` checks.
    """
    if len(net.output_shape) != 1:
        raise InvalidInput(f"the network's output has shape {net.output_shape}; expected (classes,)")
    center = regions[0].center
    check_labels(labels, len(center), device=center.device)


def check_rows(name: str, value: object, specs: int, *, integer: bool) -> None:
    """Check a vector with one number for each row of an objective.

    Raises:
        InvalidInput: no tensor, another length or kind of numbers, NaN or infinity.
    """
    check_finite(value, name)
    assert isinstance(value, Tensor)
    fits = (
        not (value.is_floating_point() or value.dtype == torch.bool) if integer else value.dtype != torch.bool
    )
    if value.shape != (specs,) or not fits:
        kind = "integers" if integer else "numbers"
        raise InvalidInput(
            f"{name} has shape {tuple(value.shape)} and dtype {value.dtype}; expected {kind} of shape (specs,) = ({specs},), "
            "one for each row of the objective"
        )


def check_method(method: object) -> None:
    """Check a bound method that is passed to another function.

    Raises:
        InvalidInput: it cannot be called, such as its name.
    """
    check_callable(method, "method", "a bound method such as bounds.crown")
