"""Exact conditions of outputs as rows of floating-point numbers that bounds can be asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from robustsuite import bounds
from robustsuite.bounds import Graph
from robustsuite.formats import Case, Inequality, exact
from robustsuite.perturbations import BoxRegion


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The conditions of cases as `bounds.verify` takes them: unsafe where ``objective @ f(x) + offset <= 0``.

    Attributes:
        objective: shape (rows, entries of the flat output).
        offset: shape (rows,).
        groups: the case of each row.
    """

    objective: Tensor
    offset: Tensor
    groups: Tensor


def rows_of(cases: Sequence[Case], graph: Graph, region: BoxRegion, *, outputs: int) -> Rows:
    """Write the conditions in a network's dtype, such that what is proved of them is proved of the exact ones.

    Args:
        cases: all of one box.
        graph: of the network's flat output, followed by its flat input where a condition is about inputs.
        region: holds the box; gives dtype and device.
        outputs: of the network.
    """
    like = region.center
    sizes: list[Fraction | None] | None = None
    objective, limits, groups = [], [], []
    for group, case in enumerate(cases):
        # A case without conditions on the output is met everywhere: one row of zeros says so.
        for condition in case.conditions or (_ALWAYS,):
            terms = [*condition.outputs, *((outputs + i, c) for i, c in condition.inputs)]
            scale = _power_of_two(terms, like)
            row = torch.zeros(*graph.output_shape, dtype=like.dtype)
            missing = []
            for place, coefficient in terms:
                row[place] = float(coefficient * scale)
                missing.append((place, coefficient * scale - Fraction(row[place].item())))
            limit = condition.limit * scale
            if any(rest for _, rest in missing):
                # row @ f(x) differs from the exact sum by what the coefficients lack times f(x).
                sizes = _sizes(graph, region) if sizes is None else sizes
                for place, rest in missing:
                    size = sizes[place]
                    limit += abs(rest) * size if size is not None else _never_reached(limit, like)
            objective.append(row)
            limits.append(_threshold(limit, like, strict=condition.strict))
            groups.append(group)
    return Rows(torch.stack(objective).to(like.device), -torch.stack(limits), torch.tensor(groups))


_ALWAYS = Inequality(outputs=(), inputs=(), limit=Fraction(), strict=False)


def _power_of_two(terms: Sequence[tuple[int, Fraction]], like: Tensor) -> Fraction:
    """Give a factor that brings large coefficients into the range where the dtype holds them well."""
    largest = max((abs(c) for _, c in terms), default=Fraction(1))
    exact_up_to = Fraction(2) / Fraction(torch.finfo(like.dtype).eps)
    return Fraction(1) if largest <= exact_up_to else Fraction(1, 2 ** (int(largest).bit_length() - 1))


def _never_reached(limit: Fraction, like: Tensor) -> Fraction:
    """Give what raises a limit beyond all numbers of the dtype, so that nothing is proved with it."""
    return abs(limit) + 2 * Fraction(torch.finfo(like.dtype).max)


def _sizes(graph: Graph, region: BoxRegion) -> list[Fraction | None]:
    """Bound the absolute values of the outputs, generously; None where they have no bound."""
    with torch.no_grad():
        ends = bounds.ibp(graph, region)
    largest = torch.maximum(ends.lower.abs(), ends.upper.abs())[0].tolist()
    return [2 * Fraction(size) if math.isfinite(size) else None for size in largest]


def _threshold(limit: Fraction, like: Tensor, *, strict: bool) -> Tensor:
    """Give the greatest floating-point number that satisfies ``value <= limit`` (or ``<``): all above it do not.

    A sum of two floating-point numbers has the sign of the exact sum. So ``value - threshold <= 0`` says the same of
    a floating-point value as the condition does.
    """
    below = exact.rounded([limit], like, up=False)[0]
    if strict and Fraction(below.clamp(min=torch.finfo(below.dtype).min).item()) == limit:
        below = torch.nextafter(below, torch.full_like(below, -torch.inf))
    largest = torch.finfo(below.dtype).max
    return below.clamp(-largest, largest)
