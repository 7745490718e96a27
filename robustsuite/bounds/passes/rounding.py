"""What rounding may cost at each step: so that bounds hold for the floating-point network, and were computed in it.

Bounds are statements about real numbers. On a graph traced with ``sound=True`` each step k gets a vector r_k >= 0 that
bounds, entry by entry, the sum of

- the network's own error in computing the step from the float values of its inputs, in any order of summation,
- our error in computing the step's interval, and
- the effect of our errors in carrying coefficients back over it.

The float network is then the exact network with a perturbation of at most r_k added at each step: intervals are widened by
r_k, and a backward pass that meets the step with coefficients A loses sum |A| r_k.

For a sum of n products of size at most M = sum |w| |x| all three are at most gamma_n M, gamma_n = n u / (1 - n u)
(Higham 2002, section 3.1): a rounded product A' = fl(A W) moves the bound by at most |A' - A W| |x| <= gamma_n |A| M. Sums of the
bound's own terms add gamma of the number of steps. A line of a relaxation is a choice of a slope; its intercept is computed in a few
operations from values of size slope * x and g(x), so a fixed number of units of those covers it.

Numbers below the least normal one may be lost as a whole: that adds an absolute error to each product (`underflow`).

Assumed: sums are evaluated as sums of products (no Winograd or Strassen forms, no TF32); exp, tanh and their kind are within
4 units in the last place, sigmoid, GELU and their kind within 4 units of 1 + |x| (kernels go through 1 + tanh and 1 + erf); an operator that is bounded as a composition errs no more than that composition.

Source: Higham 2002, lemma 3.1 and section 3.5; for bounds of networks, Singh et al. 2018 (DeepZ), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from robustsuite.bounds.forms.bounds import Bounds
from robustsuite.bounds.operations import Affine, Input, Nonlinear
from robustsuite.bounds.program import Step
from robustsuite.bounds.rules import masks
from robustsuite.perturbations.norms import flat

_PARTS = 4  # the network's error, the interval's (a middle and a radius), the coefficients'
_FEW = 40  # units that cover a function within 4 ulp, its two lines and their application


def gamma(n: int, dtype: torch.dtype) -> float:
    """Give the relative error n u / (1 - n u) of a sum of n products, u the unit roundoff."""
    u = torch.finfo(dtype).eps / 2
    return n * u / (1 - n * u)


def rounding(step: Step, inputs: Sequence[Bounds], output: Bounds, *, depth: int = 0) -> Tensor:
    """Give r of a step, shape (batch, *shape).

    Args:
        step: the step.
        inputs: intervals of what it takes.
        output: its interval.
        depth: number of terms that a bound is summed from, one for each step that a backward pass meets.
    """
    dtype = output.lower.dtype
    sizes = [_size(step, x) for x in inputs]
    size = _size(step, output)
    if isinstance(step.op, Input):
        # Concretisation sums over all entries of the input.
        return gamma(2 * math.prod(step.shape) + depth, dtype) * size
    if isinstance(step.op, Affine):
        boxes = [Bounds(-x, x) for x in sizes]
        terms = _terms(step.op, inputs, output)
        total = _size(step, step.op.interval(*boxes))
        lost = _PARTS * (terms + 2) * torch.finfo(dtype).smallest_normal
        return gamma(_PARTS * (terms + 2) + depth, dtype) * total + lost
    assert isinstance(step.op, Nonlinear)
    lost = _FEW * _longest(inputs) * torch.finfo(dtype).smallest_normal
    return gamma(_FEW + depth, dtype) * (size + step.op.magnitude(inputs, sizes)) + lost


def underflow(step: Step, inputs: Sequence[Bounds], output: Bounds) -> Tensor:
    """Bound what a row of coefficients loses by underflow on its way over a step, whatever its size, shape (batch,).

    Each coefficient of an input is a sum of products that may each be off by the least normal number; the bound is
    off by that times the input.
    """
    assert isinstance(step.op, Affine | Nonlinear)
    products = _terms(step.op, inputs, output) if isinstance(step.op, Affine) else _FEW * _longest(inputs)
    sizes = sum(flat(_size(step, x)).sum(1) + 1 for x in inputs)
    assert isinstance(sizes, Tensor)
    return _PARTS * (products + 2) * torch.finfo(sizes.dtype).smallest_normal * sizes


def _terms(op: Affine, inputs: Sequence[Bounds], output: Bounds) -> int:
    terms = op.terms()
    return sum(x.lower[0].numel() for x in inputs) + output.lower[0].numel() if terms is None else terms


def _longest(inputs: Sequence[Bounds]) -> int:
    """Give the most entries that a nonlinear step may add up: those of a last axis."""
    return max(x.lower.shape[-1] if x.lower.dim() > 1 else 1 for x in inputs)


def magnitude(x: Bounds) -> Tensor:
    """Give the largest absolute value of each entry."""
    return torch.maximum(x.lower.abs(), x.upper.abs()).nan_to_num(posinf=torch.finfo(x.lower.dtype).max)


def _size(step: Step, x: Bounds) -> Tensor:
    return masks.without_placeholders(magnitude(x)) if step.masked else magnitude(x)
