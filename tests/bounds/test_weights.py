"""Perturbed parameters: sound for every layer that has some, exact for affine layers, and easy to ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robustsuite import L1, L2, Linf, bounds, seeding
from robustsuite.bounds import Graph, Weights
from robustsuite.errors import InvalidInput, UnsupportedOperator
from robustsuite.perturbations import BoxRegion, norms

from .cases import METHODS, Attention, Case, Method
from .search import assert_encloses, extremes_of_several


class Last(nn.Module):
    """The last output of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.lstm(x)[0][:, -1]
        return y


class Tied(nn.Module):
    """A matrix that two layers share, a single number, and a parameter that no input meets."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.scale, self.place = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.rand(3))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.scale * self.second(torch.relu(self.first(x))) + (2 * self.place).tanh()
        return y


class AtLeast(nn.Module):
    """Entries below a threshold become the threshold, in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Parameter(torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > self.low, x, self.low) + x.clamp(min=self.low)


LAYERS = [
    Case("linear", lambda: nn.Linear(4, 3), (4,), affine=True),
    Case("linear without bias", lambda: nn.Linear(4, 3, bias=False), (4,), affine=True),
    Case("linear on the last axis", lambda: nn.Linear(4, 3), (3, 4), affine=True),
    Case("conv1d", lambda: nn.Conv1d(2, 4, 2, dilation=2, groups=2), (2, 6), affine=True),
    Case("conv2d", lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 6, 5), affine=True),
    Case("conv2d, groups", lambda: nn.Conv2d(4, 2, (2, 3), padding=(0, 1), groups=2), (4, 3, 4), affine=True),
    Case("conv3d", lambda: nn.Conv3d(1, 2, 2, stride=(1, 2, 1)), (1, 3, 4, 3), affine=True),
    Case("conv_transpose1d", lambda: nn.ConvTranspose1d(2, 2, 3, stride=2, padding=1), (2, 4), affine=True),
    Case(
        "conv_transpose2d",
        lambda: nn.ConvTranspose2d(
            2, 4, 2, stride=3, padding=1, output_padding=(1, 2), groups=2, dilation=(1, 2)
        ),
        (2, 3, 2),
        affine=True,
    ),
    Case("batch_norm2d", lambda: nn.BatchNorm2d(2), (2, 3, 3), affine=True),
    Case("layer_norm", lambda: nn.LayerNorm(4), (3, 4), affine=True),
    Case("group_norm", lambda: nn.GroupNorm(2, 4), (4, 3), affine=True),
    Case("rms_norm", lambda: nn.RMSNorm(4), (3, 4), affine=True),
    Case("prelu", lambda: nn.PReLU(init=0.3), (4,), affine=True),
    Case("prelu per channel", lambda: nn.PReLU(2), (2, 3), affine=True),
    Case("mlp", lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), (4,)),
    Case(
        "conv net",
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 2), nn.Flatten(), nn.Linear(8, 2)
        ),
        (1, 5, 5),
    ),
    Case("attention", Attention, (3, 4)),
    Case("lstm", Last, (3, 3)),
    Case("tied matrices and a number", Tied, (3,)),
    Case("thresholds", AtLeast, (4,)),
]
THREATS = [Linf(0.05), L2(0.1), L1(0.2)]


@functools.cache
def traced(case: Case, names: tuple[str, ...] = ("*",)) -> tuple[nn.Module, Graph]:
    """Give a case's module with its graph, in which the parameters of these names are inputs, whatever their radius."""
    module = case.module()
    return module, Weights(Linf(0.0), names).trace(module, case.inputs())


layers = pytest.mark.parametrize("case", LAYERS, ids=str)
threats = pytest.mark.parametrize("threat", THREATS, ids=[t.describe() for t in THREATS])


@layers
@threats
def test_sound(case: Case, threat: Linf | L2 | L1) -> None:
    """Alone, and with inputs that move too."""
    (module, net), x = traced(case), case.inputs()
    weights = Weights(threat)
    for inputs in (x, L2(0.1).around(x)):
        regions = weights.around(module, inputs)
        found = extremes_of_several(net.module, regions, generator=seeding.generator(1, case.name))
        for method in METHODS:
            assert_encloses(method.call(net, regions), found, hint=f"by {method}")


@pytest.mark.parametrize("case", [case for case in LAYERS if case.affine], ids=str)
@threats
def test_exact_in_what_is_affine(case: Case, threat: Linf | L2 | L1) -> None:
    """One parameter of a layer moves, the input does not: the radius is eps times the dual norm of the derivative."""
    module, x = traced(case)[0], case.inputs()
    dual = {Linf: 1, L2: 2, L1: torch.inf}[type(threat)]
    assert isinstance(threat.eps, float)
    for name, value in module.named_parameters():
        weights = Weights(threat, (name,))
        _, net = traced(case, (name,))

        def of(weight: Tensor, name: str = name) -> Tensor:
            y: Tensor = torch.func.functional_call(module, {name: weight}, (x,))
            return y

        rows = torch.autograd.functional.jacobian(of, value.detach())
        y = module(x).detach()
        radius = threat.eps * norms.norm(rows.flatten(y.dim()), dual)
        for method in METHODS:
            got = method.call(net, weights.around(module, x))
            torch.testing.assert_close(got.lower, y - radius, rtol=1e-4, atol=2e-5, msg=f"{method} {name}")
            torch.testing.assert_close(got.upper, y + radius, rtol=1e-4, atol=2e-5, msg=f"{method} {name}")


@layers
def test_no_perturbation_gives_the_output(case: Case) -> None:
    (module, net), x = traced(case), case.inputs()
    weights = Weights(L2(0.0))
    for method in METHODS:
        got = method.call(net, weights.around(module, x))
        torch.testing.assert_close(got.lower, module(x), rtol=1e-4, atol=1e-4, msg=str(method))
        torch.testing.assert_close(got.upper, module(x), rtol=1e-4, atol=1e-4, msg=str(method))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_batch_equals_singles(method: Method) -> None:
    """The parameters are shared, their worst values are not."""
    case = next(case for case in LAYERS if case.name == "mlp")
    module, x = case.module(), case.inputs(3)
    weights = Weights(L2(0.1), ("0.*", "2.weight"))
    net = weights.trace(module, x)
    together = method.call(net, weights.around(module, Linf(0.1).around(x)))
    for i in range(3):
        alone = method.call(net, weights.around(module, Linf(0.1).around(x[i : i + 1])))
        torch.testing.assert_close(alone.lower[0], together.lower[i], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(alone.upper[0], together.upper[i], rtol=1e-3, atol=1e-4)


def test_relative_radii() -> None:
    """One per cent of each entry, whatever its size."""
    module, x = nn.Linear(4, 3), torch.rand(2, 4)
    weights = Weights(Linf(0.01), ("weight",), relative=True)
    *_, region = weights.around(module, x)
    assert isinstance(region, BoxRegion)
    torch.testing.assert_close(region.upper - region.center, 0.01 * module.weight.abs().expand(2, 3, 4))
    got = bounds.crown(weights.trace(module, x), weights.around(module, x))
    torch.testing.assert_close(
        got.width / 2, 0.01 * (x.abs() @ module.weight.abs().t()), rtol=1e-4, atol=1e-6
    )


def test_names() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert list(Weights(Linf(0.1)).of(module)) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(Weights(Linf(0.1), ("2.*", "0.bias")).of(module)) == ["0.bias", "2.weight", "2.bias"]
    assert len({Weights(Linf(0.1), ("a",)), Weights(Linf(0.1), ("a",)), Weights(L2(0.1), ("a",))}) == 2


@pytest.mark.parametrize("method", [m for m in METHODS if m.differentiable], ids=str)
def test_gradients_and_new_values_reach_the_parameters(method: Method) -> None:
    """Training may use the bounds: they follow the parameters, perturbed ones among them."""
    module, x = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double(), torch.rand(3, 2).double()
    weights = Weights(Linf(0.05), ("0.weight", "2.weight"))
    net = weights.trace(module, x)

    def width() -> Tensor:
        return method.call(net, weights.around(module, x)).width.sum()

    before = width()
    gradients = torch.autograd.grad(before, list(module.parameters()))
    assert all(bool(g.isfinite().all()) for g in gradients)
    first = next(iter(module.parameters()))
    step = torch.randn(first.shape, generator=seeding.generator(2), dtype=torch.float64)
    with torch.no_grad():
        first.add_(1e-6 * step)
    change = float((width() - before).detach()) / 1e-6
    assert change == pytest.approx(float((gradients[0] * step).sum()), rel=1e-3, abs=1e-6)


def test_larger_radii_are_wider() -> None:
    case = next(case for case in LAYERS if case.name == "conv net")
    (module, net), x = traced(case), case.inputs()
    widths = [
        bounds.crown(net, Weights(L2(eps)).around(module, x)).width.mean().detach()
        for eps in (0.0, 0.01, 0.05)
    ]
    assert float(widths[0]) < float(widths[1]) < float(widths[2])


def test_several_inputs_with_weights() -> None:
    """A module of two inputs; one moves, one does not, and its weights do."""
    module = _Joined()
    x, y = torch.rand(2, 3), torch.rand(2, 2)
    weights = Weights(Linf(0.05))
    net = weights.trace(module, (x, y))
    regions = weights.around(module, (L1(0.2).around(x), y))
    found = extremes_of_several(net.module, regions, generator=seeding.generator(3))
    for method in METHODS:
        assert_encloses(method.call(net, regions), found, hint=str(method))
    assert bounds.certified(net, regions, module(x, y).argmax(1)).shape == (2,)


class _Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        joined: Tensor = torch.relu(self.first(x)) * self.second(y)
        return joined


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda m: Weights(Linf(0.1), ("fc.weight",)).of(m),
            "no parameter is called 'fc.weight'; the module has weight, b",
        ),
        (lambda m: Weights(Linf(0.1), ()), r"names are \(\); expected names of parameters"),
        (
            lambda m: Weights(Linf(0.1), (3,)),  # type: ignore[arg-type]
            "expected names of parameters",
        ),
        (lambda m: Weights(Linf(0.1)).of(nn.ReLU()), "the module has none at all"),
    ],
    ids=["unknown", "none", "not a name", "no parameters"],
)
def test_wrong_names(make: Callable[[nn.Module], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make(nn.Linear(2, 2))


def test_rules_that_want_constants() -> None:
    """Where an operator cannot have a parameter perturbed, the message names it."""

    class ByMean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.rand(3))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.batch_norm(x, self.mean, torch.ones(3))

    with pytest.raises(
        UnsupportedOperator, match="batch_norm.*cannot have its further arguments perturbed; leave"
    ):
        Weights(Linf(0.1)).trace(ByMean(), torch.rand(2, 3))


def test_regions_must_fit() -> None:
    module, x = nn.Linear(2, 2), torch.rand(3, 2)
    weights = Weights(Linf(0.1))
    net = weights.trace(module, x)
    with pytest.raises(InvalidInput, match="1 regions given for a network of 3 inputs"):
        bounds.crown(net, Linf(0.1).around(x))
