"""Every operator, alone: sound on every kind of region, exact where it should be, and none without a case."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from robustsuite import seeding
from robustsuite.bounds import Bounds
from robustsuite.bounds.rules import TABLE
from robustsuite.bounds.tracing.capture import export
from robustsuite.errors import UnboundedOutput
from robustsuite.perturbations import Box, Linf

from .cases import METHODS, NETWORKS, OPERATORS, PERTURBATIONS, UNREACHED, Case, Method, Threat, traced
from .search import assert_encloses, extremes

CASES = OPERATORS + NETWORKS
_FIRST, *_OTHERS = PERTURBATIONS
QUICK = [(case, threat) for i, case in enumerate(CASES) for threat in (_FIRST, _OTHERS[i % len(_OTHERS)])]
QUICK += [(case, threat) for case in NETWORKS for threat in _OTHERS]
FULL = [(case, threat) for case in CASES for threat in PERTURBATIONS]


def _named(pairs: list[tuple[Case, Threat]]) -> pytest.MarkDecorator:
    unique = list(dict.fromkeys(pairs))
    return pytest.mark.parametrize(("case", "threat"), unique, ids=[f"{c}-{t}" for c, t in unique])


class _All(nn.Module):
    """All modules beside each other: taken apart at once, in a tenth of the time."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)

    def forward(self, *xs: torch.Tensor) -> list[torch.Tensor]:
        return [part(x) for part, x in zip(self.parts, xs, strict=True)]


@functools.cache
def reached() -> set[str]:
    """Give the operators that the cases consist of."""
    modules = _All([case.module() for case in OPERATORS])
    with torch.no_grad():
        exported = export(modules, tuple(case.inputs(1) for case in OPERATORS))
    return {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


def test_every_operator_has_a_case() -> None:
    missing = {str(target) for target in TABLE} - reached() - set(UNREACHED)
    assert not missing, "add a case to OPERATORS in tests/bounds/cases.py"
    assert not set(UNREACHED) & reached(), "these have a case: take them out of UNREACHED"


def _check_soundness(case: Case, threat: Threat, **search: int) -> None:
    net, region = traced(case), threat.of(case).around(case.inputs())
    found = extremes(net.module, region, generator=seeding.generator(1, case.name, threat.name), **search)
    for method in METHODS:
        assert_encloses(method.call(net, region), found, hint=f"by {method}")


@_named(QUICK)
def test_sound(case: Case, threat: Threat) -> None:
    _check_soundness(case, threat)


@pytest.mark.parametrize("eps", [30.0, 1000.0])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sound_on_huge_regions(case: Case, eps: float) -> None:
    """Where exponentials overflow and sums of them underflow, bounds hold or are refused."""
    net, region = traced(case), Linf(eps).around(case.inputs())
    found = extremes(net.module, region, samples=30, corners=30, steps=0)
    for method in METHODS:
        try:
            result = method.call(net, region)
        except UnboundedOutput:
            continue
        if result.width.isfinite().all():
            assert_encloses(result, found, hint=f"by {method}")
        assert not bool(result.lower.isnan().any() | result.upper.isnan().any()), str(method)


@pytest.mark.slow
@_named(FULL)
def test_sound_under_long_attacks(case: Case, threat: Threat) -> None:
    _check_soundness(case, threat, samples=1000, corners=300, steps=40)


@pytest.mark.parametrize("case", OPERATORS[::3] + NETWORKS, ids=str)
def test_no_perturbation_gives_the_output(case: Case) -> None:
    x = case.inputs()
    net = traced(case)
    y = net.module(x)
    for method in METHODS:
        bounds = method.call(net, PERTURBATIONS[0].of(case, 0.0).around(x))
        torch.testing.assert_close(bounds.lower, y, rtol=1e-4, atol=1e-4, msg=str(method))
        torch.testing.assert_close(bounds.upper, y, rtol=1e-4, atol=1e-4, msg=str(method))


@pytest.mark.parametrize("threat", PERTURBATIONS, ids=str)
@pytest.mark.parametrize("case", [case for case in CASES if case.affine][::7], ids=str)
def test_affine_networks_are_bounded_exactly(case: Case, threat: Threat) -> None:
    """The extremes of an affine function are known: at the minimiser of its own gradient."""
    net, region = traced(case), threat.of(case).around(case.inputs())
    x = region.center
    rows = torch.autograd.functional.jacobian(lambda x: net.module(x).reshape(len(x), -1).sum(0), x)
    rows = rows.transpose(0, 1).double()  # batch, outputs, *input
    y = net.module(x).double()
    flat = y.reshape(len(y), -1)
    middle = (rows * x.double().unsqueeze(1)).flatten(2).sum(2)
    wide = threat.of(case).around(x.double())
    low = flat - middle + wide.minimum(rows, lambda t: t)
    high = flat - middle - wide.minimum(-rows, lambda t: t)
    exact = Bounds(low.view_as(y).float(), high.view_as(y).float())
    for method in METHODS[1:]:  # all but IBP
        bounds = method.call(net, region)
        torch.testing.assert_close(bounds.lower, exact.lower, rtol=1e-4, atol=2e-5, msg=str(method))
        torch.testing.assert_close(bounds.upper, exact.upper, rtol=1e-4, atol=2e-5, msg=str(method))


@pytest.mark.parametrize("method", [m for m in METHODS if m.name in ("ibp", "crown_ibp", "forward")], ids=str)
@pytest.mark.parametrize("case", OPERATORS[::9] + NETWORKS, ids=str)
def test_never_wider_than_intervals(case: Case, method: Method) -> None:
    """`crown_ibp` and `forward` promise it; a smaller box inside a larger one gives intervals inside."""
    net, x = traced(case), case.inputs()
    large = Box(case.middle - 0.6, case.middle + 0.5).around(x)
    small = Box(case.middle - 0.5, case.middle + 0.45).around(x)
    outer, inner = METHODS[0].call(net, large), method.call(net, small)
    slack = 1e-5 * (1 + outer.upper.abs().maximum(outer.lower.abs()))
    assert bool((inner.lower >= outer.lower - slack).all())
    assert bool((inner.upper <= outer.upper + slack).all())
    same = METHODS[0].call(net, small)
    assert bool((inner.lower >= same.lower - slack).all())
    assert bool((inner.upper <= same.upper + slack).all())
