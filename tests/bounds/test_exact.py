"""The exact optimum of tiny networks: by mixed-integer programming, and by branch and bound of our own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds as VariableBounds
from scipy.optimize import LinearConstraint, milp
from torch import nn

from robustsuite import Linf, bounds

_SIZES = [(2, 8, 8, 2), (3, 10, 6, 2), (4, 6, 7, 3)]


def _network(sizes: tuple[int, ...], seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1]).double()


def _optimum(
    module: nn.Sequential, low: np.ndarray, high: np.ndarray, row: np.ndarray, *, exact: bool
) -> float:
    """Give the least value of ``row @ f(x)`` over a box: exact, or of the relaxation by triangles (an LP).

    Variables: the inputs; for each hidden layer its outputs and its 0/1 phases. Big-M from interval arithmetic.
    """
    matrices = [
        (p.weight.detach().numpy(), p.bias.detach().numpy()) for p in module if isinstance(p, nn.Linear)
    ]
    hidden = [len(bias) for _, bias in matrices[:-1]]
    total = len(low) + 2 * sum(hidden)
    lower, upper = np.zeros(total), np.zeros(total)
    lower[: len(low)], upper[: len(low)] = low, high
    integral = np.zeros(total)
    rows, least, most = [], [], []
    start, size = 0, len(low)
    ends = low, high
    free = len(low)
    for weight, bias in matrices[:-1]:
        middle, radius = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
        z_middle, z_radius = weight @ middle + bias, np.abs(weight) @ radius
        l, u = z_middle - z_radius, z_middle + z_radius
        count = len(bias)
        for i in range(count):
            h, phase = free + i, free + count + i
            upper[h], upper[phase] = max(u[i], 0.0), 1.0
            integral[phase] = exact
            z = np.zeros(total)
            z[start : start + size] = weight[i]
            # h >= z; h <= z - l (1 - phase); h <= u phase: with the phase free this is the triangle.
            above, below, cap = -z, z.copy(), np.zeros(total)
            above[h] = 1.0
            below[h] = -1.0
            below[phase] = min(l[i], 0.0)
            cap[h], cap[phase] = -1.0, max(u[i], 0.0)
            rows += [above, below, cap]
            least += [bias[i], min(l[i], 0.0) - bias[i], 0.0]
            most += [np.inf] * 3
        ends = np.maximum(l, 0), np.maximum(u, 0)
        start, size = free, count
        free += 2 * count
    weight, bias = matrices[-1]
    cost = np.zeros(total)
    cost[start : start + size] = row @ weight
    answer = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), np.array(least), np.array(most)),
        integrality=integral,
        bounds=VariableBounds(lower, upper),
        options={"mip_rel_gap": 1e-9},
    )
    assert answer.success, answer.message
    return float(answer.fun + row @ bias)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("sizes", _SIZES, ids=str)
def test_bounds_enclose_the_optimum(sizes: tuple[int, ...], seed: int) -> None:
    """Every method lies beyond the optimum; CROWN and alpha-CROWN not far, and IBP's triangles no further."""
    module = _network(sizes, seed)
    x = torch.rand((1, sizes[0]), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    net = bounds.trace(module, x)
    outputs = np.eye(sizes[-1])
    for eps in (0.05, 0.3):
        low, high = (x[0] - eps).numpy(), (x[0] + eps).numpy()
        exact_low = np.array([_optimum(module, low, high, row, exact=True) for row in outputs])
        exact_high = np.array([-_optimum(module, low, high, -row, exact=True) for row in outputs])
        triangle = np.array([_optimum(module, low, high, row, exact=False) for row in outputs])
        assert (triangle <= exact_low + 1e-7).all()
        region = Linf(eps).around(x)
        for method in (bounds.ibp, bounds.forward, bounds.crown_ibp, bounds.crown, bounds.alpha_crown):
            found = method(net, region)
            assert (found.lower[0].detach().numpy() <= exact_low + 1e-7).all()
            assert (found.upper[0].detach().numpy() >= exact_high - 1e-7).all()
        width = exact_high - exact_low
        crown = bounds.crown(net, region).width[0].detach().numpy()
        alpha = bounds.alpha_crown(net, region, steps=50)
        # Loose by design, but not absurdly: measured at most 2.2 and 1.8 times the truth here.
        assert (crown <= 3.0 * width).all()
        assert (alpha.width[0].numpy() <= 2.5 * width).all()
        # Optimised slopes over CROWN's own intervals reach what triangles over IBP's intervals give.
        assert (alpha.lower[0].numpy() >= triangle - 0.02 * width).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_verification_agrees_with_the_optimum(seed: int) -> None:
    """A property a little weaker than the optimum holds, one a little stronger is violated."""
    sizes = (3, 8, 6, 1)
    module = _network(sizes, seed)
    x = torch.rand((1, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    net, region = bounds.trace(module, x), Linf(0.4).around(x)
    least = _optimum(module, (x[0] - 0.4).numpy(), (x[0] + 0.4).numpy(), np.ones(1), exact=True)
    row = torch.ones((1, 1), dtype=torch.float64)
    for gap, answer in ((1e-2, bounds.Answer.HOLDS), (-1e-2, bounds.Answer.VIOLATED)):
        offset = torch.tensor([-(least - gap)], dtype=torch.float64)
        (verdict,) = bounds.verify(net, region, row, offset=offset, timeout=60.0)
        assert verdict.answer is answer
        if verdict.counterexample is not None:
            point = verdict.counterexample.unsqueeze(0)
            assert bool(region.contains(point).all())
            assert float(module(point) + offset) <= 0
