"""Networks of several inputs, each with a region of its own: sound together, exact where affine, checked for fit."""

from __future__ import annotations

import itertools

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from robustsuite import L0, L1, L2, Box, Linf, Substitutions, bounds, seeding
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Region

from .cases import METHODS, Method
from .search import assert_encloses, extremes_of_several

methods = pytest.mark.parametrize("method", METHODS, ids=str)


class Three(nn.Module):
    """Three inputs that meet in sums, a product and a ReLU; affine, if asked, without the last two."""

    def __init__(self, *, affine: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(3, 4), nn.Conv1d(2, 1, 3), nn.Linear(6, 4)
        self.last, self._affine = nn.Linear(4, 3), affine

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        a, b, c = self.first(x), self.second(y).flatten(1), self.third(z.flatten(1))
        joined = a + b - 2 * c if self._affine else torch.relu(a + b) * c + b.tanh()
        out: Tensor = self.last(joined)
        return out


def _module(*, affine: bool = False) -> Three:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Three(affine=affine).eval()


def _inputs(batch: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = seeding.generator(0, "inputs")
    x, y, z = (torch.rand((5, *shape), generator=generator)[:batch] for shape in ((3,), (2, 6), (3, 2)))
    return x, y, z


def _words(z: Tensor, budget: int) -> Region:
    noise = torch.randn((1, 3, 2, 2), generator=seeding.generator(1, "candidates"))
    return Substitutions(z.unsqueeze(2) + 0.3 * noise, budget=budget).around(z)


def _mixtures(x: Tensor, y: Tensor, z: Tensor) -> dict[str, tuple[Region, Region, Region]]:
    still = Linf(0.0)
    return {
        "linf, l2, constant": (Linf(0.1).around(x), L2(0.3).around(y), still.around(z)),
        "constant, l1, words": (still.around(x), L1(0.4, clip=(0, 1)).around(y), _words(z, 1)),
        "l0, l2, words": (L0(1, 0, 1).around(x), L2(0.2, clip=(0, 1)).around(y), _words(z, 2)),
        "box, box, box": (Box(0.2, 0.6).around(x), Box(0, 1).around(y), Linf(0.05).around(z)),
        "constant": (still.around(x), still.around(y), still.around(z)),
    }


mixtures = pytest.mark.parametrize("name", list(_mixtures(*_inputs())))


@mixtures
@methods
def test_sound(name: str, method: Method) -> None:
    module, inputs = _module(), _inputs()
    net, regions = bounds.trace(module, inputs), _mixtures(*inputs)[name]
    found = extremes_of_several(module, regions, samples=60, corners=30, steps=12)
    assert_encloses(method.call(net, regions), found)
    rows = torch.randn((4, 3), generator=seeding.generator(2))
    got = method.call(net, regions, objective=rows)
    for values in (module(*(r.sample() for r in regions)) for _ in range(20)):
        assert bool(
            (values @ rows.t() >= got.lower - 1e-5).all() & (values @ rows.t() <= got.upper + 1e-5).all()
        )
    if name == "constant":
        torch.testing.assert_close(method.call(net, regions).lower, module(*inputs), rtol=1e-4, atol=1e-5)


@mixtures
@methods
def test_exact_in_affine_networks(name: str, method: Method) -> None:
    """The extremes over several regions are sums of those over each; IBP mixes boxes at the first sum."""
    module, inputs = _module(affine=True), _inputs()
    net, regions = bounds.trace(module, inputs), _mixtures(*inputs)[name]
    y = module(*(region.center for region in regions)).detach()
    jacobians = torch.autograd.functional.jacobian(lambda *x: module(*x).sum(0), inputs)
    low, high = y.clone(), y.clone()
    for region, rows in zip(regions, jacobians, strict=True):
        a = rows.transpose(0, 1)  # batch, outputs, *input
        clean = (a * region.center.unsqueeze(1)).flatten(2).sum(2)
        low += region.minimum(a, lambda t: t) - clean
        high -= region.minimum(-a, lambda t: t) + clean
    got = method.call(net, regions)
    if method.name == "ibp" and all(region.is_box for region in regions):
        assert bool((got.lower <= low + 1e-5).all() & (got.upper >= high - 1e-5).all())
    else:
        torch.testing.assert_close(got.lower, low, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(got.upper, high, rtol=1e-4, atol=1e-5)


@mixtures
def test_words_are_bounded_for_each_choice(name: str) -> None:
    """Where one input is a finite set: bounds with the set enclose those with each of its members fixed."""
    module, inputs = _module(), _inputs(1)
    net, (x, y, z) = bounds.trace(module, inputs), _mixtures(*inputs)[name]
    whole = bounds.crown(net, (x, y, z))
    for _ in range(5):
        fixed = Linf(0.0).around(z.sample())
        found = extremes_of_several(module, (x, y, fixed))
        assert_encloses(whole, found)


@methods
def test_batch_equals_singles(method: Method) -> None:
    module, inputs = _module(), _inputs(3)
    net, regions = bounds.trace(module, inputs), _mixtures(*inputs)["l0, l2, words"]
    together = method.call(net, regions)
    for i, pick in itertools.product(range(3), (torch.tensor, lambda v: torch.arange(3) == v[0])):
        alone = method.call(net, tuple(r.select(pick([i])) for r in regions))
        torch.testing.assert_close(alone.lower[0], together.lower[i], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(alone.upper[0], together.upper[i], rtol=1e-3, atol=1e-4)


def test_certified() -> None:
    module, inputs = _module(), _inputs(5)
    net, labels = bounds.trace(module, inputs), module(*inputs).argmax(1)
    small = tuple(Linf(1e-4).around(x) for x in inputs)
    large = tuple(Linf(1.0).around(x) for x in inputs)
    assert bool(bounds.certified(net, small, labels).all())
    assert not bool(bounds.certified(net, large, labels).any())


def test_verified() -> None:
    """A property a little weaker than what search finds holds; a stronger one has a counterexample in all inputs."""
    module, inputs = _module(), _inputs(1)
    net, regions = bounds.trace(module, inputs), _mixtures(*inputs)["linf, l2, constant"]
    least = extremes_of_several(module, regions, steps=60).lower[0]
    tight = bounds.alpha_crown(net, regions).lower[0]
    assert bool((tight <= least).all())
    for i in range(3):
        row = torch.eye(3)[i : i + 1]
        (proved,) = bounds.verify(net, regions, row, offset=-tight[i : i + 1] + 1e-3, timeout=20)
        assert proved.answer is bounds.Answer.HOLDS
        (broken,) = bounds.verify(net, regions, row, offset=-least[i : i + 1] - 1e-2, timeout=20)
        assert broken.answer is bounds.Answer.VIOLATED
        assert broken.counterexample is not None
        point = [part.unsqueeze(0) for part in (broken.counterexample, *broken.others)]
        assert all(bool(r.contains(part).all()) for r, part in zip(regions, point, strict=True))
        assert float(module(*point)[0, i].detach()) <= float(least[i]) + 1e-2


@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_regions() -> None:
    module, (x, y, z) = _module(), _inputs()
    net = bounds.trace(module, (x, y, z))
    a, b, c = (Linf(0.1).around(t) for t in (x, y, z))
    with pytest.raises(InvalidInput, match="2 regions given for a network of 3 inputs; pass one region per"):
        bounds.crown(net, (a, b))
    with pytest.raises(InvalidInput, match=r"regions have batch sizes \[1, 2\]"):
        bounds.crown(net, (a, b.select(torch.tensor([0])), c))
    with pytest.raises(InvalidInput, match=r"examples have shape \(2, 6\); the network was traced"):
        bounds.crown(net, (b, a, c))
    with pytest.raises(InvalidInput, match=r"labels have shape \(3,\) for 2 examples"):
        bounds.certified(net, (a, b, c), torch.tensor([0, 1, 2]))


@pytest.fixture
def as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the annotation checks of the test run off: users get the suite's own message."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
