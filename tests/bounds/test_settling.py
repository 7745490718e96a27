"""The cheap pass before CROWN's: sound, and without a trace in the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from robustsuite import bounds
from robustsuite.bounds import Bounds
from robustsuite.bounds.passes import settling

from .cases import NETWORKS, PERTURBATIONS, Case, Threat, traced
from .search import assert_encloses, extremes

_THREATS = [threat for threat in PERTURBATIONS if threat.name in ("linf", "l2", "l1, clipped")]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have the pass tried however small the work; give the shares that it settled."""
    shares: list[float] = []
    once = settling.both_sides

    def both_sides(*args: Any) -> torch.Tensor:
        value = once(*args)
        shares.append(float((value > 0).any(1).float().mean()))
        return value

    monkeypatch.setattr(settling, "_WORTH", 0)
    monkeypatch.setattr(settling, "_SAMPLE", 2)
    monkeypatch.setattr(settling, "both_sides", both_sides)
    return shares


@pytest.mark.parametrize("method", [bounds.crown, bounds.alpha_crown])
@pytest.mark.parametrize("threat", _THREATS, ids=str)
@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_leaves_the_bounds_as_they_are(
    case: Case,
    threat: Threat,
    method: Callable[..., Bounds],
    always: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, region = traced(case), threat.of(case).around(case.inputs())
    with torch.no_grad():
        fast = method(net, region)
        monkeypatch.setattr(settling, "_WORTH", 2**60)
        plain = method(net, region)
    scale = 1e-4 * (1 + plain.width.abs().max())
    if method is bounds.crown:
        assert bool((fast.lower >= plain.lower - scale).all())
        assert bool((fast.upper <= plain.upper + scale).all())
    assert_encloses(fast, extremes(net.module, region))


def test_settles_most_of_a_network_at_a_small_radius(always: list[float]) -> None:
    case = next(case for case in NETWORKS if case.name == "conv net")
    with torch.no_grad():
        bounds.crown(traced(case), _THREATS[0].of(case).around(case.inputs()))
    assert max(always) > 0.5
