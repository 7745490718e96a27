"""Threat models and regions: projections, samples, distances, and exact minima of linear forms."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from torch import Tensor

from robustsuite.errors import InvalidInput
from robustsuite.perturbations import (
    L0,
    L1,
    L2,
    Ball,
    Box,
    Linf,
    Perturbation,
    Region,
    Scaled,
    SparseRegion,
    norms,
)
from robustsuite.runs import serialization

_FEATURES = (0.1, 0.0, 0.3, 0.2, 0.05, 0.4)
PERTURBATIONS: list[Perturbation] = [
    Linf(0.2),
    Linf(0.3, clip=(0, 1)),
    Linf(_FEATURES),
    L2(0.5),
    L2(0.7, clip=(0, 1)),
    L2(_FEATURES),
    L2(_FEATURES, clip=(0, 1)),
    L1(0.8),
    L1(1.5, clip=(0, 1)),
    L1(_FEATURES, clip=(0, 1)),
    Linf(float("inf"), clip=(0, 1)),
    L2(float("inf"), clip=(0, 1)),
    L1(float("inf"), clip=(0, 1)),
    Box(0.2, 0.7),
    Box((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), 0.6),
    Scaled(Linf(0.5), unit=_FEATURES),
    Scaled(L2(2.0, clip=(0, 1)), unit=_FEATURES),
    Scaled(L2(float("inf"), clip=(0, 1)), unit=_FEATURES),
    Scaled(L1((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)), unit=0.3),
    L0(1, 0, 1),
    L0(3, (0.0, -0.5, -0.1, 0.0, 0.0, -1.0), 1.5),
]
_CLIPPED = [p for p in PERTURBATIONS if isinstance(p, L1 | L2) and p.clip is not None]

everywhere = pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=str)


def _inputs(batch: int = 4, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand((batch, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def _take(values: Tensor) -> Tensor:
    return values


@everywhere
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_samples_and_projections_lie_inside(perturbation: Perturbation, dtype: torch.dtype) -> None:
    region = perturbation.around(_inputs(dtype=dtype))
    generator = torch.Generator().manual_seed(1)
    assert bool(region.contains(region.center).all())
    for _ in range(50):
        sample = region.sample(generator=generator)
        far = region.project(torch.randn(4, 6, generator=generator).to(dtype) * 3)
        for x in (sample, far):
            assert x.dtype == dtype
            assert bool(region.contains(x).all())
            assert bool(((x >= region.lower) & (x <= region.upper)).all())
            torch.testing.assert_close(region.project(x), x, rtol=1e-5, atol=1e-6)


@everywhere
def test_outside_is_not_contained(perturbation: Perturbation) -> None:
    region = perturbation.around(_inputs())
    for x in (region.upper + 0.01, region.center + 1.0):
        assert not bool(region.contains(x).any())


@everywhere
def test_hull_is_reached(perturbation: Perturbation) -> None:
    """Each end of the interval hull belongs to a point of the region that differs in one coordinate."""
    region = perturbation.around(_inputs())
    for feature in range(6):
        for end in (region.lower, region.upper):
            x = region.center.clone()
            x[:, feature] = end[:, feature]
            assert bool(region.contains(x, tolerance=1e-9).all())


def _exact(region: Region, row: Tensor, example: int) -> float:
    """Solve min a.x over one example's region by another's solver."""
    low, high, center = (t[example].numpy() for t in (region.lower, region.upper, region.center))
    a = row.numpy()
    if isinstance(region, SparseRegion):
        sets = itertools.combinations(range(6), region.budget)
        return min(
            float(a @ center + sum(min(a[i] * (low - center)[i], a[i] * (high - center)[i]) for i in chosen))
            for chosen in sets
        )
    if not isinstance(region, Ball):
        return float(np.where(a > 0, a * low, a * high).sum())
    scale = region.scale[example].numpy()
    if region.p == 1:  # x = center + up - down, the sum of (up + down) / scale at most 1
        free = scale > 0
        weights = np.concatenate([1 / scale[free]] * 2)
        answer = linprog(
            np.concatenate([a[free], -a[free]]),
            A_ub=weights[None],
            b_ub=[1.0],
            bounds=[(0, h) for h in (high - center)[free]] + [(0, d) for d in (center - low)[free]],
        )
        return float(a @ center + answer.fun)
    free = scale > 0
    start = np.zeros(free.sum())
    answer = minimize(
        lambda z: float((a * scale)[free] @ z),
        start,
        jac=lambda z: (a * scale)[free],
        bounds=list(
            zip(
                ((low - center) / np.where(free, scale, 1))[free],
                ((high - center) / np.where(free, scale, 1))[free],
                strict=True,
            )
        ),
        constraints={"type": "ineq", "fun": lambda z: 1 - z @ z, "jac": lambda z: -2 * z},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return float(a @ center + answer.fun)


@everywhere
def test_minimum_of_linear_forms(perturbation: Perturbation) -> None:
    region = perturbation.around(_inputs())
    a = torch.randn((4, 5, 6), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a[0, 0, :3] = 0.0
    least = region.minimum(a, _take)
    for example in range(4):
        for spec in range(5):
            expected = _exact(region, a[example, spec], example)
            assert float(least[example, spec]) == pytest.approx(expected, abs=1e-6)


@everywhere
def test_minimum_is_below_every_point(perturbation: Perturbation) -> None:
    """In single precision, for forms of very different sizes, all zeros among them; with finite gradients."""
    region = perturbation.around(_inputs(dtype=torch.float32))
    generator = torch.Generator().manual_seed(3)
    for size in (0.0, 1e-15, 1e-6, 1.0, 1e6):
        a = (size * torch.randn((4, 8, 6), generator=generator)).requires_grad_()
        least = region.minimum(a, _take)
        (gradient,) = torch.autograd.grad(least.sum(), a)
        assert bool(least.isfinite().all() & gradient.isfinite().all())
        for _ in range(30):
            x = region.sample(generator=generator)
            assert bool((least <= (a * x.unsqueeze(1)).sum(2) + 1e-5 * size).all())
        corner = region.minimizer_of(a[:, 0].detach())
        assert bool((least[:, 0] <= (a[:, 0] * corner).sum(1) + 1e-5 * size).all())


@everywhere
def test_minimum_has_the_minimiser_as_gradient(perturbation: Perturbation) -> None:
    region = perturbation.around(_inputs())
    a = torch.randn(
        (4, 3, 6), generator=torch.Generator().manual_seed(4), dtype=torch.float64
    ).requires_grad_()
    least = region.minimum(a, _take)
    (x,) = torch.autograd.grad(least.sum(), a)
    torch.testing.assert_close((a * x).sum(2), least, rtol=1e-5, atol=1e-5)
    for spec in range(3):
        assert bool(region.contains(x[:, spec], tolerance=1e-5).all())


@everywhere
def test_shared_forms_and_selection(perturbation: Perturbation) -> None:
    region = perturbation.around(_inputs())
    a = torch.randn((1, 3, 6), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    together = region.minimum(a, _take)
    assert together.shape == (4, 3)
    for example in range(4):
        alone = region.select(torch.tensor([example]))
        torch.testing.assert_close(alone.minimum(a, _take), together[example : example + 1])
        torch.testing.assert_close(alone.lower, region.lower[example : example + 1])


@everywhere
def test_ascent_increases_the_form(perturbation: Perturbation) -> None:
    region = perturbation.around(_inputs())
    gradient = torch.randn((4, 6), generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    x = region.project(region.center + region.ascent(gradient))
    assert bool(((gradient * (x - region.center)).sum(1) > 0).all())
    low = region.minimizer_of(gradient)
    assert bool(region.contains(low).all())
    assert bool(((gradient * (low - region.center)).sum(1) < 0).all())


@everywhere
def test_distance(perturbation: Perturbation) -> None:
    region = perturbation.around(_inputs())
    x = region.sample(generator=torch.Generator().manual_seed(7))
    delta = (x - region.center).numpy()
    plain = perturbation.ball if isinstance(perturbation, Scaled) else perturbation
    order = {L0: 0, L1: 1, L2: 2}.get(type(plain), np.inf)
    np.testing.assert_allclose(region.distance(x).numpy(), np.linalg.norm(delta, order, axis=1))


@pytest.mark.parametrize("p", [1, 2, torch.inf])
def test_projection_is_the_nearest_point(p: float) -> None:
    """No point of the ball is nearer than the projection, in the Euclidean sense."""
    generator = torch.Generator().manual_seed(8)
    z = torch.randn((20, 5), generator=generator, dtype=torch.float64)
    nearest = norms.project(z, p)
    gap = (z - nearest).norm(dim=1)
    seeds = torch.arange(20)
    for i in range(200):
        other = norms.sample(seeds + 20 * i, 5, p, dtype=torch.float64)
        other = other / norms.norm(other, p).unsqueeze(1)
        assert bool((gap <= (z - other).norm(dim=1) + 1e-12).all() | (gap == 0).any())
    assert bool((norms.norm(nearest, p) <= 1 + 1e-12).all())


@pytest.mark.parametrize("p", [1, 2, torch.inf])
def test_samples_fill_the_ball_evenly(p: float) -> None:
    """The radius of a uniform point, to the power of the dimension, is uniform; the mean is zero."""
    z = norms.sample(torch.arange(20_000), 3, p, dtype=torch.float64)
    share = norms.norm(z, p) ** 3
    for quantile in (0.1, 0.5, 0.9):
        assert float((share < quantile).double().mean()) == pytest.approx(quantile, abs=0.02)
    assert float(z.mean(0).abs().max()) < 0.02
    signs = (z > 0).double().mean(0)
    assert bool(((signs - 0.5).abs() < 0.02).all())


def test_dual_norms() -> None:
    assert (norms.dual(1), norms.dual(2), norms.dual(torch.inf)) == (torch.inf, 2, 1)
    z = torch.zeros(1, 3, requires_grad=True)
    for p in (1, 2, torch.inf):
        (gradient,) = torch.autograd.grad(norms.norm(z, p).sum(), z)
        assert bool(gradient.isfinite().all())


def test_clipped_ball_is_cut_by_both() -> None:
    x = torch.zeros(1, 6)
    for perturbation in _CLIPPED:
        region = perturbation.around(x)
        assert float(region.lower.min()) == 0.0
        assert not region.is_box


def test_values_and_hash() -> None:
    """Perturbations are values: equal by content, made of plain numbers, usable as keys."""
    for array in (torch.tensor([0.5, 0.25]), np.array([0.5, 0.25]), [0.5, 0.25], (0.5, 0.25)):
        assert Linf(array) == Linf((0.5, 0.25))
        assert hash(Linf(array)) == hash(Linf((0.5, 0.25)))
    assert len({Linf(0.1), L2(0.1), L1(0.1)}) == 3
    assert Linf(0.1, clip=(0, 1)) == Linf(0.1, clip=(0.0, 1.0))
    assert len({Linf(0.1), Linf(0.1), Linf(0.2)}) == 2


def test_radii_in_units_of_their_features() -> None:
    threat = Scaled(Linf(0.1), unit=np.array([2.0, 0.5, 0.0]), name="std")
    assert threat == Scaled(Linf(0.1), unit=(2.0, 0.5, 0.0), name="std")
    assert hash(threat) == hash(Scaled(Linf(0.1), unit=(2.0, 0.5, 0.0), name="std"))
    assert (threat.describe(), threat.norm, threat.radius) == ("Linf_std(0.1)", "Linf_std", 0.1)
    assert threat.scaled(2) == Scaled(Linf(0.2), unit=(2.0, 0.5, 0.0), name="std")
    region = threat.around(torch.zeros(4, 3))
    assert region.upper[0].tolist() == pytest.approx([0.2, 0.05, 0.0])
    with pytest.raises(
        InvalidInput, match="unit has shape .3,.; expected a number or the shape of one example, .4,"
    ):
        threat.around(torch.zeros(1, 4))


@everywhere
def test_norm_and_radius_name_the_threat_model(perturbation: Perturbation) -> None:
    """What reports draw curves over: the radius goes with the factor, the norm does not."""
    doubled = perturbation.scaled(2)
    assert doubled.norm == perturbation.norm
    if perturbation.radius is None:
        assert doubled.radius is None
    else:
        assert doubled.radius == pytest.approx(2 * perturbation.radius)
        assert perturbation.describe().startswith(f"{perturbation.norm}(")


@everywhere
def test_json_gives_the_same_threat_model(perturbation: Perturbation) -> None:
    assert serialization.from_json(serialization.to_json(perturbation), Perturbation) == perturbation


def test_scaled_and_described() -> None:
    assert Linf(0.1, clip=(0, 1)).scaled(2) == Linf(0.2, clip=(0, 1))
    assert L2((0.5, 1.0)).scaled(0.5) == L2((0.25, 0.5))
    assert Box(0.0, 1.0).scaled(0.5) == Box(0.25, 0.75)
    assert Linf(0.03).describe() == "Linf(0.03)"
    assert L2(0.5).describe() == "L2(0.5)"
    assert L1((0.5, 1.0)).describe() == "L1(0.5..1)"
    assert Box(0.0, 1.0).describe() == "Box(0, 1)"
    assert L0(4, 0, 1).scaled(0.7) == L0(2, 0, 1)
    assert L0(3, 0, 1).scaled(1 / 3).budget == 1
    assert L0(4, 0, 1).scaled(0.0).budget == 0
    assert L0(4, 0, 1).describe() == "L0(4)"


@pytest.mark.parametrize("kind", [Linf, L2, L1])
@pytest.mark.parametrize(
    "eps", [-0.1, float("nan"), -float("inf"), (0.1, -0.2), (0.1, float("inf"))], ids=str
)
def test_wrong_radius(kind: type[Linf], eps: float) -> None:
    with pytest.raises(InvalidInput, match="expected finite numbers >= 0"):
        kind(eps)


def _any(value: Any) -> Any:
    """Give a value of a wrong type, unseen by the checker of types."""
    return value


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linf([]), "eps holds no numbers"),
        (lambda: Linf(torch.zeros(0)), "eps holds no numbers"),
        (lambda: Linf(((0.1, 0.2), (0.1,))), "every row as long as the others"),
        (lambda: Linf("0.1"), "eps is '0.1'; expected a number"),
        (lambda: Linf(True), "eps is True; expected a number"),
        (lambda: Linf(_any({"eps": 0.1})), "eps is a dict of 1; expected a number"),
        (lambda: Linf(0.1, clip=_any(0.5)), r"clip is 0.5; expected \(lowest, highest\)"),
        (lambda: Linf(0.1, clip=_any(("low", "high"))), "expected .lowest, highest., finite numbers"),
        (lambda: Linf(0.1, clip=(0, float("inf"))), "finite numbers"),
        (lambda: Box((0.0, 0.0), (1.0, 1.0, 1.0)), r"lower of shape \(2,\) and upper of shape \(3,\)"),
        (lambda: L0(1, (0.0, 0.0), (1.0,)), r"low of shape \(2,\) and high of shape \(1,\)"),
        (lambda: Linf(0.1).scaled(float("nan")), "factor is nan; expected a number >= 0"),
        (lambda: L0(3, 0, 1).scaled(float("nan")), "factor is nan"),
        (lambda: Box(0, 1).scaled(-1.0), "factor is -1.0"),
        (
            lambda: Scaled(_any(Box(0, 1)), unit=1.0),
            "ball is a Box; expected an Lp ball such as Linf",
        ),
        (lambda: Scaled(_any(0.1), unit=1.0), "ball is 0.1; expected an Lp ball"),
        (lambda: Scaled(Linf(0.1), unit=(1.0, -1.0)), "unit is -1..1; expected finite numbers >= 0"),
        (lambda: Scaled(Linf(0.1), unit=_any("std")), "unit is 'std'; expected a number"),
        (
            lambda: Scaled(Linf((0.1, 0.2)), unit=(1.0, 1.0, 1.0)),
            r"unit has shape \(3,\) and the radius shape \(2,\)",
        ),
    ],
)
def test_wrong_values_are_named(make: Callable[[], Perturbation], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3)), "x is a ndarray of shape .2, 3. .*torch.as_tensor"),
        ([[0.0, 1.0]], "x is a list of 1; expected a tensor"),
        (torch.eye(3).to_sparse(), "sparse_coo form; expected a dense tensor"),
        (torch.zeros(2, 3, device="meta"), "'meta' and has no values"),
        (torch.tensor(0.5), "a single number and not a batch"),
        (torch.zeros(2, 3, dtype=torch.int64), "expected floating point"),
        (torch.zeros(2, 3, dtype=torch.complex64), "expected floating point"),
    ],
    ids=str,
)
def test_what_is_no_batch_of_examples_is_refused(x: Any, message: str) -> None:
    for perturbation in (Linf(0.1), L2(0.1), Box(0, 1), L0(1, 0, 1)):
        with pytest.raises(InvalidInput, match=message):
            perturbation.around(x)


@pytest.mark.usefixtures("as_users_run_it")
def test_a_unit_is_a_size_for_each_feature() -> None:
    x = torch.rand(2, 3)
    units: list[tuple[Any, str]] = [
        (0.5, "unit is 0.5"),
        (x[:1], r"unit is a Tensor of shape \(1, 3\)"),
        (-x, "negative"),
        (x * torch.nan, "NaN"),
    ]
    for unit, message in units:
        with pytest.raises(InvalidInput, match=message):
            Linf(0.1).around(x, unit=unit)


def test_wrong_values() -> None:
    with pytest.raises(InvalidInput, match="eps is 'big'; expected a number"):
        Linf("big")
    with pytest.raises(InvalidInput, match="lowest < highest"):
        L2(0.1, clip=(1, 0))
    with pytest.raises(InvalidInput, match="finite lower <= upper"):
        Box(1.0, 0.0)
    with pytest.raises(InvalidInput, match="finite lower <= upper"):
        Box((0.0, 1.0), (float("nan"), 2.0))
    for budget in (-1, True):
        with pytest.raises(InvalidInput, match=r"budget is (-1|True); expected an integer >= 0"):
            L0(budget, 0, 1)
    with pytest.raises(InvalidInput, match="finite low <= high"):
        L0(1, 1, 0)


@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_inputs() -> None:
    with pytest.raises(InvalidInput, match=r"outside clip \(0\.0, 1\.0\)"):
        Linf(0.1, clip=(0, 1)).around(torch.full((1, 3), 2.0))
    with pytest.raises(InvalidInput, match="outside the range from 0 to 1; scale the data"):
        L0(1, 0, 1).around(torch.full((1, 3), 2.0))
    with pytest.raises(InvalidInput, match=r"range has shape \(2,\).*\(3,\)"):
        L0(1, (0, 0), 1).around(torch.zeros(1, 3))
    with pytest.raises(InvalidInput, match=r"eps has shape \(2,\).*\(3,\)"):
        Linf((0.1, 0.2)).around(torch.zeros(1, 3))
    with pytest.raises(InvalidInput, match=r"pass x\.float\(\)"):
        Linf(0.1).around(torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        L1(0.1).around(torch.full((1, 3), torch.inf))


def test_an_ulp_outside_the_clip_range_is_forgiven() -> None:
    region = Linf(0.1, clip=(0, 1)).around(torch.tensor([[1.0000001, 0.5]]))
    assert float(region.center.max()) <= 1.0
    assert float(region.upper.max()) <= 1.0


def test_few_features_in_full() -> None:
    """No feature or all of them: a point, and the whole box."""
    x = _inputs()
    none, all_ = L0(0, 0, 1).around(x), L0(9, 0, 1).around(x)
    a = torch.randn((4, 5, 6), generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    torch.testing.assert_close(none.minimum(a, _take), (a * x.unsqueeze(1)).sum(2))
    assert none.is_box
    assert torch.equal(none.sample(), x)
    assert torch.equal(none.lower, none.upper)
    assert all_.is_box
    torch.testing.assert_close(all_.minimum(a, _take), Box(0, 1).around(x).minimum(a, _take))


@pytest.mark.parametrize("budget", [1, 2, 4])
def test_nearest_point_of_few_features(budget: int) -> None:
    """Against every choice of features."""
    region = L0(budget, 0, 1).around(_inputs())
    far = torch.randn((4, 6), generator=torch.Generator().manual_seed(10), dtype=torch.float64)
    gap = (region.project(far) - far).norm(dim=1)
    for chosen in itertools.combinations(range(6), budget):
        other = region.center.clone()
        other[:, chosen] = far[:, chosen].clamp(0, 1)
        assert bool((gap <= (other - far).norm(dim=1) + 1e-12).all())


@pytest.mark.parametrize("kind", [Linf, L2, L1])
def test_relative_radii(kind: type[Linf]) -> None:
    """A unit for each feature of the batch: for one example the same as a radius for each feature."""
    x = _inputs() - 0.5
    relative = kind(0.5).around(x, unit=x.abs())
    a = torch.randn((4, 5, 6), generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    least = relative.minimum(a, _take)
    for example in range(4):
        alone = kind(tuple((0.5 * x[example].abs()).tolist())).around(x[example : example + 1])
        torch.testing.assert_close(alone.minimum(a[example : example + 1], _take)[0], least[example])
        torch.testing.assert_close(alone.upper[0], relative.upper[example])
