"""Programs kept from call to call: the bounds are those of a graph that keeps nothing, whatever has changed in between."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from robustsuite import bounds, seeding
from robustsuite.bounds import Bounds, Graph
from robustsuite.bounds.tracing.kept import Kept
from robustsuite.errors import RobustsuiteError
from robustsuite.perturbations import Linf, Region

from .cases import METHODS, NETWORKS, OPERATORS, PERTURBATIONS, Applied, Case, Method, traced

_QUICK = [method for method in METHODS if method.name in ("ibp", "crown")]


def anew(net: Graph) -> Graph:
    """Give the same graph with nothing kept."""
    return replace(net, _kept=Kept())


def _tried(method: Method, net: Graph, region: Region) -> Bounds | str:
    try:
        return method.call(net, region)
    except RobustsuiteError as error:
        return str(error)


def assert_same(method: Method, net: Graph, region: Region) -> None:
    got, expected = _tried(method, net, region), _tried(method, anew(net), region)
    if isinstance(got, str) or isinstance(expected, str):
        assert got == expected
        return
    assert torch.equal(got.lower, expected.lower), str(method)
    assert torch.equal(got.upper, expected.upper), str(method)


@pytest.mark.parametrize("case", OPERATORS + NETWORKS, ids=str)
def test_bounds_are_those_of_a_fresh_program(case: Case) -> None:
    """After an optimiser's step in place, with other values below the parameters, other centres and batch sizes."""
    net = copy.copy(traced(case))
    generator = seeding.generator(7, case.name)
    held = (*net.module.parameters(), *net.module.buffers())
    moved = [value for value in held if value.is_floating_point()]
    before = [p.detach().clone() for p in moved]
    datas = [p.data for p in moved]
    try:
        for number, batch in enumerate((2, 1, 3)):
            region = PERTURBATIONS[number].of(case).around(case.inputs(batch).roll(number, 0))
            for method in _QUICK:
                assert_same(method, net, region)
            with torch.no_grad():
                for p in moved:
                    factor = 1 + 0.2 * torch.rand(p.shape, generator=generator).to(p)
                    if number:
                        p.data = p.data * factor
                    else:
                        p.mul_(factor)
    finally:
        for p, data, value in zip(moved, datas, before, strict=True):
            p.data = data
            p.data.copy_(value)


class _Net(nn.Module):
    """Every way in which parameters enter: by a layer, folded, through a norm, by a value that decides."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.scale = nn.Parameter(torch.rand(4) + 0.5)
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0, 1.0]))
        self.last = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.norm(self.first(x)))
        h = h * self.scale.exp() + self.first.weight.sum()
        assert isinstance(self.mask, torch.Tensor)
        scores = torch.where(self.mask > 0, h, torch.finfo(torch.float32).min / 2**20)
        y = self.last(torch.softmax(scores, -1) * h)
        assert isinstance(y, torch.Tensor)
        return y


def _same_everywhere(net: Graph, x: torch.Tensor) -> None:
    for method in METHODS:
        assert_same(method, net, Linf(0.05).around(x))


@pytest.fixture
def net() -> Graph:
    torch.manual_seed(0)
    return bounds.trace(_Net().eval(), torch.rand(2, 3))


def test_everything_that_may_change_is_followed(net: Graph) -> None:
    module, x = net.module, torch.rand(4, 3)
    assert isinstance(module, _Net)
    _same_everywhere(net, x)
    _same_everywhere(net, x[:1] + 0.5)
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    before = bounds.crown(net, Linf(0.05).around(x))
    before.width.sum().backward()
    optimiser.step()
    _same_everywhere(net, x)
    assert not torch.equal(before.lower, bounds.crown(net, Linf(0.05).around(x)).lower)
    module.load_state_dict(
        {k: v * 0.9 if v.is_floating_point() else v for k, v in module.state_dict().items()}
    )
    _same_everywhere(net, x)
    module.scale.data = torch.rand(4)
    module.first.weight = nn.Parameter(torch.rand(4, 3))
    _same_everywhere(net, x)
    assert isinstance(module.mask, torch.Tensor)
    module.mask[0] = 0.0
    _same_everywhere(net, x)
    module.norm.train()
    _same_everywhere(net, x)
    _same_everywhere(net, 2 * x)
    module.norm.eval()
    _same_everywhere(net, x)


def test_swapped_parameters_are_followed_and_not_held(net: Graph) -> None:
    x = torch.rand(4, 3)
    bounds.ibp(net, Linf(0.05).around(x))
    base = torch.rand(4, 3, requires_grad=True)

    class Bound(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = net.module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _same_everywhere(net, x)
            return bounds.ibp(net, Linf(0.05).around(x)).upper

    swapped = {"module.first.weight": base * 2}
    upper = torch.func.functional_call(Bound(), swapped, (x,))
    (gradient,) = torch.autograd.grad(upper.sum(), base)
    assert bool(gradient.abs().sum() > 0)
    _same_everywhere(net, x)


def test_gradients_are_those_of_a_fresh_program(net: Graph) -> None:
    x, parameters = torch.rand(4, 3), list(net.module.parameters())
    for wanted in (parameters, parameters[:1], parameters):
        for p in parameters:
            p.requires_grad_(any(p is w for w in wanted))
        for method in METHODS:
            if not method.differentiable:
                continue
            pair = [
                torch.autograd.grad(
                    method.call(graph, Linf(0.05).around(x)).width.sum(), wanted, allow_unused=True
                )
                for graph in (net, anew(net))
            ]
            for got, expected in zip(*pair, strict=True):
                assert (got is None) == (expected is None)
                assert got is None or torch.equal(got, expected)


def test_dtypes_are_told_apart() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    net, x = bounds.trace(module, torch.rand(1, 3)), torch.rand(4, 3)
    single = bounds.crown(net, Linf(0.05).around(x))
    module.double()
    assert bounds.crown(net, Linf(0.05).around(x.double())).lower.dtype == torch.float64
    module.float()
    assert torch.equal(single.lower, bounds.crown(net, Linf(0.05).around(x)).lower)


def test_inference_mode_leaves_nothing_behind() -> None:
    module = nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), Applied(lambda x: x * torch.arange(4.0)), nn.Linear(4, 2)
    )
    net, region = bounds.trace(module, torch.rand(1, 3)), Linf(0.1).around(torch.rand(2, 3))
    with torch.inference_mode():
        bounds.crown(net, region)
    bounds.crown(net, region).width.sum().backward()


def test_programs_do_not_share_what_is_theirs() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    net = bounds.trace(module, torch.rand(1, 3))
    first, second = (net.bind((Linf(0.1).around(torch.rand(2, 3)),)) for _ in range(2))
    assert first.steps is not second.steps
    assert first.steps[1].op is second.steps[1].op  # kept
    assert not torch.equal(
        first.value(bounds.program.Ref(1, (4,))), second.value(bounds.program.Ref(1, (4,)))
    )


def test_a_tensor_shared_with_others_is_followed() -> None:
    """A constant that a function closes over is the module's as long as nobody writes into it."""
    shared = torch.rand(4)
    module = nn.Sequential(nn.Linear(3, 4), Applied(lambda x: x * shared + shared))
    net, region = bounds.trace(module, torch.rand(1, 3)), Linf(0.1).around(torch.rand(2, 3))
    bounds.ibp(net, region)
    shared.mul_(2)
    for method in METHODS:
        assert_same(method, net, region)
