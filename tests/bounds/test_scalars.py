"""Tensors of a single number without axes, and of no numbers at all: parameters, inputs, and what lies on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustsuite import bounds
from robustsuite.perturbations import L2, Linf

from .cases import METHODS, Applied
from .search import assert_encloses, extremes, extremes_of_several

Size = Callable[[Tensor], Tensor]
SIZES: dict[str, Size] = {
    "square sum": lambda w: w.square().sum() + 1,
    "sum": lambda w: w.sum() + 3,
    "mean, relu": lambda w: w.mean().relu() + 1,
    "largest": lambda w: w.max() + 2,
    "least": lambda w: 2 - w.min(),
    "norm": lambda w: w.norm() + 1,
    "norm of order 1": lambda w: torch.linalg.vector_norm(w, 1) + 1,
    "exp": lambda w: w.sum().exp() + 1,
    "logsumexp": lambda w: w.logsumexp(0) + 3,
    "entry": lambda w: w[1] * w[0] + 2,
    "product of numbers": lambda w: (w[0] * w[1]).tanh() * w[2].sigmoid() + 2,
    "stacked": lambda w: torch.stack([w[0], w[2]]).softmax(0)[0] + 1,
    "maximum of numbers": lambda w: torch.maximum(w[0], w[1].abs()) + 1,
    "sum of a sum": lambda w: w.sum().sum().square() + w.mean().mean().relu() + 1,
    "largest of a number": lambda w: w.sum().max().tanh() + 2,
    "dot": lambda w: w @ w.flip(0) + 3,
    "variance": lambda w: w.var() + 1,
    "unsqueezed": lambda w: w.sum().unsqueeze(0).expand(3).sum() + 4,
    "viewed": lambda w: w.sum().view(1, 1).squeeze().clamp(-1, 1) + 2,
}


class Scaled(nn.Module):
    """x w / size(w) + b, with a parameter without axes."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.7, -0.4, 0.3]))
        self.b = nn.Parameter(torch.tensor(0.25))
        self._size = size

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w / self._size(self.w) + self.b


@pytest.mark.parametrize("name", SIZES)
def test_scalars_of_parameters(name: str) -> None:
    module, x = Scaled(SIZES[name]), torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.3, -0.2]])
    weights = bounds.Weights(Linf(0.1))
    net = weights.trace(module, x)
    for regions in (weights.around(module, x), weights.around(module, Linf(0.2).around(x))):
        found = extremes_of_several(net.module, list(regions), samples=8, corners=6, steps=2)
        for method in METHODS:
            assert_encloses(method.call(net, regions), found, hint=str(method))
    ball = bounds.Weights(L2(0.1))
    regions = ball.around(module, x)
    found = extremes_of_several(net.module, list(regions), samples=8, corners=6, steps=2)
    for method in METHODS:
        assert_encloses(method.call(net, regions), found, hint=str(method))


def test_verify_meets_scalars() -> None:
    module, x = Scaled(SIZES["square sum"]), torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.3, -0.2]])
    weights = bounds.Weights(Linf(0.1))
    net, regions = weights.trace(module, x), weights.around(module, x)
    assert net.output_shape == (3,)
    objective = torch.eye(3)[:1]
    for offset, answer in ((20.0, bounds.Answer.HOLDS), (-20.0, bounds.Answer.VIOLATED)):
        verdicts = bounds.verify(net, regions, objective, offset=torch.tensor([offset]), timeout=5)
        assert [verdict.answer for verdict in verdicts] == [answer] * 2


EMPTY = {
    "an empty slice joined": (lambda x: torch.cat([x[:, :0], x.tanh()], 1), (4,)),
    "the sum of nothing": (lambda x: x[:, :0].sum(1, keepdim=True) + x.tanh(), (4,)),
    "the exponential of nothing": (lambda x: torch.cat([x[:, :0].exp(), x.exp()], 1), (4,)),
    "a product with nothing": (lambda x: x[:, :0] @ torch.ones(0, 3) + x[:, :3].sin(), (4,)),
    "a product of nothing": (lambda x: (x[:, :0] * x[:, :0]).sum(1, keepdim=True) + x, (4,)),
    "an input without axes": (lambda x: (2 * x).tanh() + x, ()),
    "an input without axes, product": (lambda x: x * x.exp(), ()),
    "an output without axes": (lambda x: x.square().sum(1), (4,)),
    "an output without axes, maximum": (lambda x: x.tanh().amax(1).relu(), (4,)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_nothing_and_single_numbers(name: str) -> None:
    function, shape = EMPTY[name]
    x = torch.linspace(-0.8, 0.9, 2 * max(1, *shape, 1)).view(2, *shape)
    net = bounds.trace(Applied(function), x)
    for perturbation in (Linf(0.2), L2(0.3)):
        region = perturbation.around(x)
        found = extremes(net.module, region)
        for method in METHODS:
            assert_encloses(method.call(net, region), found, hint=f"{method} {perturbation}")
