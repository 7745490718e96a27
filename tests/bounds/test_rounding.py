"""Bounds of graphs traced with sound=True: they hold for floating-point networks, to the last bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from robustsuite import Linf, bounds
from robustsuite.bounds import Answer, Bounds
from robustsuite.bounds.tracing.kept import Kept
from robustsuite.errors import InvalidInput

from .cases import OPERATORS, PERTURBATIONS, Applied, Case, traced
from .search import extremes

METHODS: list[Callable[..., Bounds]] = [
    bounds.ibp,
    bounds.crown_ibp,
    bounds.crown,
    partial(bounds.alpha_crown, steps=3),
]
IDS = ["ibp", "crown_ibp", "crown", "alpha_crown"]


def ill_conditioned(seed: int, hidden: int = 400) -> nn.Sequential:
    """Give a net whose sums cancel: large weights in pairs of opposite sign, in a random order."""
    generator = torch.Generator().manual_seed(seed)
    first, last = nn.Linear(6, hidden), nn.Linear(hidden, 2)
    with torch.no_grad():
        half = 1e3 * torch.randn(hidden // 2, 6, generator=generator)
        first.weight.copy_(torch.cat([half, half + 1e-2 * torch.randn(half.shape, generator=generator)]))
        first.bias.copy_(100 * torch.rand(hidden, generator=generator))
        out = 1e2 * torch.randn(2, hidden // 2, generator=generator)
        last.weight.copy_(torch.cat([out, -out], 1))
    return permuted(nn.Sequential(first, nn.ReLU(), last), generator)


def permuted(net: nn.Sequential, generator: torch.Generator) -> nn.Sequential:
    """Give the same function with the hidden units in another order: other rounding errors."""
    other = copy.deepcopy(net)
    first, last = other[0], other[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    order = torch.randperm(len(first.weight), generator=generator)
    with torch.no_grad():
        first.weight.copy_(first.weight[order])
        first.bias.copy_(first.bias[order])
        last.weight.copy_(last.weight[:, order])
    return other


def outputs(net: nn.Sequential, x: Tensor) -> Tensor:
    """Give a point's outputs in many ways to compute them, shape (ways, *outputs)."""
    generator = torch.Generator().manual_seed(0)
    ways = [net(x.expand(n, -1))[:1] for n in (1, 2, 7, 64)]
    ways += [permuted(net, generator)(x) for _ in range(20)]
    ways.append(copy.deepcopy(net).double()(x.double()))
    return torch.cat([y.double() for y in ways]).detach()


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_hold_for_every_order_of_summation(method: Callable[..., Bounds]) -> None:
    broken = 0
    for seed in range(4):
        net = ill_conditioned(seed)
        x = torch.rand(1, 6, generator=torch.Generator().manual_seed(seed))
        found = outputs(net, x)
        for eps in (0.0, 1e-6):
            region = Linf(eps).around(x)
            sound = method(bounds.trace(net, x, sound=True), region)
            assert bool((sound.lower.detach().double() <= found).all())
            assert bool((found <= sound.upper.detach().double()).all())
            plain = method(bounds.trace(net, x), region)
            broken += int(((plain.lower > found) | (found > plain.upper)).any())
    assert broken or method is bounds.ibp, "the test is too easy: plain bounds hold as well"


@pytest.mark.parametrize("case", OPERATORS[::2], ids=str)
def test_operators_without_any_tolerance(case: Case) -> None:
    net = replace(traced(case), sound=True, _kept=Kept())  # as trace(..., sound=True) gives it
    region = PERTURBATIONS[0].of(case).around(case.inputs())
    found = extremes(net.module, region)
    for method in METHODS[:3]:
        got = method(net, region)
        assert bool((got.lower <= found.lower).all() & (found.upper <= got.upper).all()), method


def test_costs_little_width() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    x = torch.rand(4, 5)
    for method in METHODS:
        plain = method(bounds.trace(net, x), Linf(0.1).around(x))
        sound = method(bounds.trace(net, x, sound=True), Linf(0.1).around(x))
        single = (sound.width - plain.width).abs().max()
        assert float(single) <= 1e-3 * float(plain.width.max())
        double = copy.deepcopy(net).double()
        fine = method(bounds.trace(double, x.double()), Linf(0.1).around(x.double()))
        finer = method(bounds.trace(double, x.double(), sound=True), Linf(0.1).around(x.double()))
        assert float((finer.width - fine.width).abs().max()) <= 1e-4 * float(single) + 1e-9


def test_certificates_and_verdicts_use_it() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.rand(3, 3)
    graph, y = bounds.trace(net, x, sound=True), net(x).argmax(1)
    region = Linf(0.01).around(x)
    assert bounds.certified(graph, region, y).dtype == torch.bool
    # Two equal rows: in real numbers their difference is 0, and rounding decides.
    tie = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        assert isinstance(tie[0], nn.Linear)
        tie[0].weight[1], tie[0].bias[1] = tie[0].weight[0], tie[0].bias[0] - 1e-8
    point = Linf(0.0).around(x[:1])
    row = torch.tensor([[1.0, -1.0]])
    (verdict,) = bounds.verify(bounds.trace(tie, x, sound=True), point, row, timeout=2)
    assert verdict.answer is not Answer.HOLDS


def test_forward_says_that_it_cannot() -> None:
    net = bounds.trace(nn.Linear(3, 2), torch.zeros(1, 3), sound=True)
    with pytest.raises(InvalidInput, match="sound=True"):
        bounds.forward(net, Linf(0.1).around(torch.zeros(1, 3)))


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_products_that_vanish(method: Callable[..., Bounds]) -> None:
    """Products below the least number are 0, and what is multiplied with it afterwards too."""
    net = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(4)))
    for layer, weight in zip(net, (1e-30, 1e-30, 1e30, 1e30), strict=True):
        assert isinstance(layer, nn.Linear)
        nn.init.constant_(layer.weight, weight)
    x = torch.ones(1, 1)
    result = method(bounds.trace(net, x, sound=True), Linf(0.0).around(x))
    assert bool((result.lower <= net(x)).all() & (net(x) <= result.upper).all())
    assert bool((result.lower <= 1).all() & (result.upper >= 1).all())  # in another order of products


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("module", [nn.Sigmoid(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Tanh()], ids=str)
def test_functions_that_cancel(module: nn.Module, method: Callable[..., Bounds]) -> None:
    """Kernels go through 1 + tanh and 1 + erf, which are near 0 where their tails are."""
    x = torch.linspace(-18, 18, 400).view(-1, 1)
    for eps in (1e-30, 5e-3):
        region = Linf(eps).around(x)
        found = extremes(module, region, samples=100, corners=10, steps=0)
        result = method(bounds.trace(module, x[:1], sound=True), region)
        assert bool((result.lower <= found.lower).all() & (found.upper <= result.upper).all())


def test_scalars_of_sound_graphs_are_bounded() -> None:
    x = torch.rand(2, 4)
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.amax(1),
        lambda x: x.logsumexp(1),
        lambda x: x.softmax(1)[:, 0],
    ]
    for function in functions:
        result = bounds.crown(bounds.trace(Applied(function), x, sound=True), Linf(0.1).around(x))
        assert bool((result.lower <= function(x)).all())
