"""Bounds of the cross entropy: above what attacks reach, in order, finite however wide, with right gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from robustsuite import L2, Linf, bounds
from robustsuite.attacks import PGD, HighestLoss
from robustsuite.bounds import CrossEntropyMethod
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.training import seeded

CLASSES = 6
METHODS: dict[str, CrossEntropyMethod] = {
    "margin": bounds.margin_cross_entropy,
    "fused": bounds.fused_cross_entropy,
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def _classifier(dtype: torch.dtype = torch.float64, scale: float = 1.0) -> tuple[nn.Module, Tensor, Tensor]:
    """Give a small conv net whose logits are multiplied by `scale`, inputs and labels."""

    def make() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36, 20),
            nn.ReLU(),
            nn.Linear(20, CLASSES),
        )

    model = seeded(make, 0)
    with torch.no_grad():
        model.get_parameter("5.weight").mul_(scale)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(12, 1, 8, 8, generator=generator, dtype=dtype)
    return model.to(dtype).eval(), x, torch.arange(12) % CLASSES


def _worst(model: nn.Module, x: Tensor, y: Tensor, perturbation: Perturbation) -> Tensor:
    found = PGD(steps=30, restarts=2)(
        model, x, HighestLoss(y), perturbation, generator=torch.Generator().manual_seed(2)
    )
    with torch.no_grad():
        return functional.cross_entropy(model(found.adversarial), y, reduction="none")


@dtypes
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_no_attack_exceeds_the_bound_and_it_does_not_exceed_that_of_intervals(
    dtype: torch.dtype, scale: float
) -> None:
    model, x, y = _classifier(dtype, scale)
    net = bounds.trace(model, x)
    for perturbation in (Linf(0.01), Linf(0.1, clip=(0, 1)), L2(0.5)):
        region, worst = perturbation.around(x), _worst(model, x, y, perturbation)
        for name, method in METHODS.items():
            by_ibp = method(net, region, y, beta=0.0).upper
            slack = 1e-5 * (1 + by_ibp)
            for beta in (0.0, 0.3, 1.0):
                found = method(net, region, y, beta=beta)
                hint = f"{name}, beta {beta}, {perturbation}"
                assert bool((worst <= found.upper + slack).all()), hint
                assert bool((found.upper <= by_ibp + slack).all()), hint


@methods
def test_at_radius_0_it_is_the_cross_entropy(method: CrossEntropyMethod) -> None:
    model, x, y = _classifier()
    found = method(bounds.trace(model, x), Linf(0.0).around(x), y)
    torch.testing.assert_close(found.upper, functional.cross_entropy(model(x), y, reduction="none"))
    assert bool((found.certified == (model(x).argmax(1) == y)).all())


def test_on_intervals_alone_both_are_the_same() -> None:
    model, x, y = _classifier()
    net, region = bounds.trace(model, x), Linf(0.05).around(x)
    margin, fused = (method(net, region, y, beta=0.0) for method in METHODS.values())
    torch.testing.assert_close(margin.upper, fused.upper)
    assert torch.equal(margin.certified, fused.certified)


def test_the_fused_bound_is_the_largest_sum_of_the_chords() -> None:
    # On an affine network CROWN is exact, so the bound is the chords' sum at its maximum: found at a corner here.
    weight = torch.tensor([[1.0, 0.5], [-0.3, 1.0], [0.2, -0.7]], dtype=torch.float64)
    model = nn.Linear(2, 3, bias=False).to(torch.float64)
    with torch.no_grad():
        model.weight.copy_(weight)
    x, y, eps = torch.tensor([[0.3, -0.2]], dtype=torch.float64), torch.tensor([0]), 0.4
    corners = x + eps * torch.tensor([[i, j] for i in (-1.0, 1.0) for j in (-1.0, 1.0)], dtype=torch.float64)
    m = (corners @ weight.T)[:, 1:] - (corners @ weight.T)[:, :1]
    low, high = m.amin(0), m.amax(0)
    chords = low.exp() + (high.exp() - low.exp()) / (high - low) * (m - low)
    expected = (1 + chords.sum(1).amax()).log()
    found = bounds.fused_cross_entropy(bounds.trace(model, x), Linf(eps).around(x), y)
    torch.testing.assert_close(found.upper.squeeze(0), expected)


@methods
@pytest.mark.parametrize("eps", [0.0, 1e-7, 1.0, 1e4])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_bound_and_gradient_are_finite_however_wide_the_intervals(
    method: CrossEntropyMethod, eps: float, scale: float
) -> None:
    model, x, y = _classifier(torch.float32, scale)
    upper = method(bounds.trace(model, x), Linf(eps).around(x), y).upper
    assert bool(torch.isfinite(upper).all())
    for gradient in torch.autograd.grad(upper.sum(), list(model.parameters())):
        assert bool(torch.isfinite(gradient).all())


@methods
def test_gradients_agree_with_finite_differences(method: CrossEntropyMethod) -> None:
    model, x, y = _classifier()
    net, region = bounds.trace(model, x), Linf(0.03).around(x)
    weight = model.get_parameter("3.weight")
    (gradient,) = torch.autograd.grad(method(net, region, y).upper.sum(), [weight])
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3), dtype=weight.dtype)
    values = []
    with torch.no_grad():
        for step in (1e-6, -2e-6):
            weight.add_(step * direction)
            values.append(float(method(net, region, y).upper.sum()))
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(float((gradient * direction).sum()), rel=1e-3)


@methods
def test_certified_means_what_certified_says(method: CrossEntropyMethod) -> None:
    model, x, y = _classifier(scale=30.0)
    y = model(x).argmax(1)
    net, region = bounds.trace(model, x), Linf(0.01).around(x)
    found = method(net, region, y).certified
    assert bool(found.any())
    for _ in range(20):
        assert bool((model(region.sample()).argmax(1) == y)[found].all())
    if method is bounds.margin_cross_entropy:
        assert torch.equal(found, bounds.certified(net, region, y, method=bounds.crown_ibp))


@methods
def test_wrong_calls_name_the_way_out(method: CrossEntropyMethod) -> None:
    model, x, y = _classifier()
    net, region = bounds.trace(model, x), Linf(0.01).around(x)
    with pytest.raises(InvalidInput, match=r"beta is 1.5; expected a number in \[0, 1\]"):
        method(net, region, y, beta=1.5)
    with pytest.raises(InvalidInput, match=r"labels lie in .* expected \[0, 5\]"):
        method(net, region, y + CLASSES)
    images = bounds.trace(nn.Conv2d(1, 2, 3).double(), x)
    with pytest.raises(InvalidInput, match="expected \\(classes,\\)"):
        method(images, region, y)


class _Largest(TorchDispatchMode):
    """Notes the most numbers that a tensor held."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self.numel = max(self.numel, value.numel())
        return result


@methods
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_memory_is_linear_in_the_classes(method: CrossEntropyMethod, beta: float) -> None:
    hidden, batch, largest = 8, 4, []
    for classes in (100, 200):
        model = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, classes))
        net, region = bounds.trace(model, torch.zeros(1, 3)), Linf(0.1).around(torch.rand(batch, 3))
        with _Largest() as seen:
            method(net, region, torch.arange(batch), beta=beta).upper.sum().backward()
        largest.append(seen.numel)
    assert largest[1] <= 2.1 * largest[0]
    assert largest[1] <= 2.1 * batch * 200 * hidden
