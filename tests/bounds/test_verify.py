"""Complete verification: verdicts against dense search and against bounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import Linf, attacks, bounds
from robustsuite.bounds import Answer
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import BoxRegion


def _network(inputs: int, activation: type[nn.Module], seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(inputs, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 3)
    )
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    return model.eval()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("inputs", [3, 25])
@pytest.mark.parametrize("seed", range(3))
def test_verdicts_agree_with_a_strong_attack(activation: type[nn.Module], inputs: int, seed: int) -> None:
    model = _network(inputs, activation, seed)
    x = torch.randn(1, inputs)
    y = model(x).argmax(1)
    net, rows = bounds.trace(model, x), bounds.margins(3, y).rows()
    for eps in (0.02, 0.1, 0.3):
        region = Linf(eps).around(x)
        (verdict,) = bounds.verify(net, region, rows, timeout=2, generator=torch.Generator().manual_seed(0))
        broken = attacks.PGD(steps=40, restarts=10)(
            model, x, y, Linf(eps), generator=torch.Generator().manual_seed(1)
        ).success
        if verdict.answer is Answer.HOLDS:
            assert not bool(broken)
        if bool(bounds.certified(net, region, y, method=bounds.crown)):
            assert verdict.answer is Answer.HOLDS
        if verdict.answer is Answer.VIOLATED:
            assert verdict.counterexample is not None
            point = verdict.counterexample.unsqueeze(0)
            assert bool(region.contains(point))
            assert bool((torch.einsum("sc,bc->bs", rows[0], model(point)) <= 0).any())


def test_splitting_proves_what_bounds_alone_cannot() -> None:
    model = _network(3, nn.ReLU, 1)
    x = torch.randn(1, 3, generator=torch.Generator().manual_seed(3))
    y = model(x).argmax(1)
    net, rows = bounds.trace(model, x), bounds.margins(3, y).rows()
    for eps in torch.linspace(0.02, 1.0, 50).tolist():
        region = Linf(eps).around(x)
        if not bool((bounds.alpha_crown(net, region, objective=rows, upper=False).lower > 0).all()):
            (verdict,) = bounds.verify(net, region, rows, timeout=20)
            assert verdict.answer is not Answer.UNKNOWN
            return
    pytest.fail("alpha-CROWN proved every radius; the test needs another network")


class _WithoutUnary(nn.Module):
    """A wide input, and one nonlinearity that is no elementwise function."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.last, self._join = (
            nn.Linear(60, 4),
            nn.Linear(60, 4),
            nn.Linear(4, 3),
            join,
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self._join(self.first(x), self.second(x)))
        assert isinstance(y, Tensor)
        return y


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a * b,
        lambda a, b: torch.stack([a, b], -1).amax(-1),
        lambda a, b: torch.stack([4 * a, 4 * b], -1).logsumexp(-1),
        lambda a, b: functional.max_pool1d(torch.stack([a, b], 1), 3, stride=1, padding=1).sum(1),
    ],
    ids=["product", "maximum", "logsumexp", "padded max pool"],
)
def test_every_nonlinearity_can_be_split(join: Callable[[Tensor, Tensor], Tensor]) -> None:
    torch.manual_seed(1)
    model, x = _WithoutUnary(join).eval(), torch.randn(1, 60)
    y = model(x).argmax(1)
    net, rows = bounds.trace(model, x), bounds.margins(3, y).rows()
    low, high = 0.0, 1.0
    for _ in range(10):
        eps = (low + high) / 2
        lower = bounds.alpha_crown(net, Linf(eps).around(x), objective=rows, upper=False).lower
        low, high = (eps, high) if bool((lower > 0).all()) else (low, eps)
    (verdict,) = bounds.verify(net, Linf(1.03 * low).around(x), rows, timeout=30)
    assert verdict.answer is not Answer.UNKNOWN


def test_a_group_is_violated_only_by_all_of_its_rows() -> None:
    model = nn.Linear(1, 1).eval()
    model.weight.data.fill_(1.0)
    model.bias.data.zero_()
    net, region = bounds.trace(model, torch.zeros(1, 1)), Linf(1.0).around(torch.zeros(1, 1))
    rows = torch.tensor([[1.0], [-1.0]])  # y + 0.5 <= 0 and -y + 0.5 <= 0 exclude each other
    offset = torch.tensor([0.5, 0.5])
    (together,) = bounds.verify(net, region, rows, offset=offset, groups=torch.tensor([0, 0]))
    (apart,) = bounds.verify(net, region, rows, offset=offset)
    assert together.answer is Answer.HOLDS
    assert apart.answer is Answer.VIOLATED


def test_every_example_gets_its_own_verdict() -> None:
    model = _network(3, nn.ReLU, 0)
    x = torch.randn(3, 3)
    y = model(x).argmax(1)
    net = bounds.trace(model, x)
    verdicts = bounds.verify(net, Linf(0.001).around(x), bounds.margins(3, y))
    assert [v.answer for v in verdicts] == [Answer.HOLDS] * 3


def test_a_timeout_must_be_positive() -> None:
    model = _network(3, nn.ReLU, 0)
    net, region = bounds.trace(model, torch.zeros(1, 3)), Linf(0.1).around(torch.zeros(1, 3))
    with pytest.raises(InvalidInput, match="timeout is 0; expected a number > 0"):
        bounds.verify(net, region, torch.eye(3), timeout=0)


def test_a_point_that_nothing_divides_ends() -> None:
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).eval()
    x = torch.rand(1, 3)
    with torch.no_grad():
        offset = -torch.nextafter(net(x)[0], torch.tensor(-torch.inf))
    (verdict,) = bounds.verify(
        bounds.trace(net, x), BoxRegion(x, x, x), torch.ones(1, 1), offset=offset, timeout=60
    )
    assert verdict.domains < 100
