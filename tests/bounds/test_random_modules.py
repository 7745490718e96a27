"""Random modules, not only operators: each is bounded soundly or refused in one line, wherever it is traced."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch

from robustsuite import bounds
from robustsuite.errors import RobustsuiteError
from robustsuite.perturbations import L2, Linf

from .cases import METHODS
from .modules import WIDTH, make
from .search import assert_encloses, extremes

Result = TypeVar("Result")


def _or_refusal(call: Callable[[], Result]) -> Result | None:
    """Give what a call gives, or None where it refuses, in one line."""
    refusal = ""
    result = None
    try:
        result = call()
    except RobustsuiteError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return result


def _outcome(seed: int, *, samples: int, steps: int) -> str:
    """Make a module and check it; say what became of it."""
    made = make(seed)
    generator = torch.Generator().manual_seed(seed)
    net = _or_refusal(lambda: bounds.trace(made.module, made.example))
    if net is None:
        return "refused"
    assert not made.mixes, f"module {seed} joins examples and was taken: {made.module}"
    assert bool(made.example.isfinite().all()), f"module {seed} was traced at NaN"
    outcome = "refused"
    for batch, perturbation in ((1, Linf(0.4)), (3, (Linf(0.05), L2(0.3), Linf(3.0))[seed % 3])):
        x = made.example + torch.randn(batch, WIDTH, generator=generator, dtype=torch.float64)
        region = perturbation.around(x)
        methods = METHODS if batch == 1 else METHODS[:1] + METHODS[3:4]
        results = {m: _or_refusal(functools.partial(m.call, net, region)) for m in methods}
        taken = {m: result for m, result in results.items() if result is not None}
        if taken:
            found = extremes(made.module, region, samples=samples, corners=samples // 2, steps=steps)
            outcome = "bounded"
        for method, result in taken.items():
            assert_encloses(result, found, hint=f"by {method}, module {seed}: {made.module}")
    return outcome


@pytest.mark.parametrize("block", range(10))
def test_sound_or_refused(block: int) -> None:
    outcomes = Counter(_outcome(seed, samples=40, steps=6) for seed in range(10 * block, 10 * block + 10))
    assert outcomes["bounded"] >= 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("block", range(20))
def test_two_thousand(block: int) -> None:
    outcomes = Counter(
        _outcome(1000 + seed, samples=150, steps=20) for seed in range(100 * block, 100 * block + 100)
    )
    assert outcomes["bounded"] >= 30
