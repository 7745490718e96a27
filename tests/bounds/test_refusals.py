"""Arguments that rules do not understand, and indices that depend on the input, are refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from robustsuite import bounds
from robustsuite.errors import RobustsuiteError, UnboundedOutput, UnsupportedOperator
from robustsuite.perturbations import Linf

from .cases import Applied

Function = Callable[[Tensor], Tensor]
_AT = torch.tensor([2, 0, 2])


def _in_place_of(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, _AT] = x[:, :3]
    return y


REFUSED: dict[str, tuple[Function, str]] = {
    "indices of a sort": (lambda x: x.gather(1, x.sort(1).indices), "indices|aten.gather"),
    "indices of topk": (lambda x: x.topk(2, 1).indices.float(), "indices of aten.topk"),
    "indices of a maximum": (
        lambda x: x.gather(1, x.max(1, keepdim=True).indices),
        "indices|aten.gather",
    ),
    "an unsorted topk": (lambda x: x.topk(2, 1, sorted=False).values, "'sorted'"),
    "a scatter to one place twice": (
        lambda x: x.scatter(1, _AT.expand(len(x), 3), x),
        "'index' .* is 'repeated'",
    ),
    "an assignment to one place twice": (_in_place_of, "'index' .* is 'repeated'"),
    "a perturbed index": (lambda x: x.index_select(1, x[0].long() * 0), "."),
    "scatter_reduce by products": (
        lambda x: x.scatter_reduce(1, torch.tensor([[2, 0]]).expand(len(x), 2), x, "prod"),
        "'reduce'",
    ),
    "a perturbed divisor": (lambda x: x % (x.exp() + 1), "'other'"),
    "a divisor of 0": (lambda x: x.fmod(0.0), "'other'"),
    "a power of a negative number": (lambda x: (-2.0) ** x, "'self'"),
    "a power of 0": (lambda x: 0.0**x, "'self'"),
    "powers of a negative tensor": (lambda x: torch.tensor([1.0, -1.0, 2.0, 3.0]) ** x, "'self'"),
    "a logarithm of a constant 0": (lambda x: torch.xlogy(x, torch.tensor([0.0, 1.0, 1.0, 1.0])), "'other'"),
    "an angle of 0": (lambda x: torch.atan2(x, torch.tensor(0.0)), "'other'"),
    "a sum of another type": (lambda x: x.cumprod(1, dtype=torch.float64).float(), "."),
    "a bicubic sample": (
        lambda x: F.grid_sample(
            x.view(-1, 1, 2, 2),
            torch.zeros(1, 1, 1, 2).expand(len(x), -1, -1, -1),
            mode="bicubic",
            align_corners=False,
        ),
        "'interpolation_mode'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    function, words = REFUSED[name]
    with pytest.raises(RobustsuiteError, match=words) as refusal:
        bounds.trace(Applied(function), torch.rand(2, 4) + 0.1)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("function", "at"),
    [
        (lambda x: torch.atan2(x + 3, x), 0.0),
        (torch.acosh, 1.0),
        (torch.asin, 1.0),
        (torch.log1p, -1.0),
        (torch.erfinv, -1.0),
        (torch.logit, 0.0),
        (lambda x: torch.xlogy(2.0, x), 0.0),
        (lambda x: x**x, 0.0),
        (torch.cosh, 500.0),
        (torch.expm1, 500.0),
    ],
)
def test_arguments_outside_of_the_domain(function: Function, at: float) -> None:
    net = bounds.trace(Applied(function), torch.full((1, 2), 1.0 if function is torch.acosh else 0.5))
    region = Linf(0.1).around(torch.full((1, 2), at))
    for method in (bounds.ibp, bounds.crown):
        try:
            result = method(net, region)
        except UnboundedOutput:
            continue
        assert not bool(result.width.isfinite().any())


def test_writing_in_place_needs_no_perturbed_target() -> None:
    with pytest.raises(UnsupportedOperator, match="indices"):
        bounds.trace(
            Applied(lambda x: torch.zeros(len(x), 4).index_put((x[:, 0].long(),), x[:, 1:2])),
            torch.rand(1, 2),
        )
