"""On a CUDA device bounds are those of the CPU, and nothing falls back to it on the way."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from robustsuite import Linf, bounds
from robustsuite.bounds import Answer

from .cases import METHODS, NETWORKS, Case, Method, traced

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("case", NETWORKS, ids=str)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_same_bounds(case: Case, method: Method) -> None:
    net, x = traced(case), case.inputs()
    known = method.call(net, Linf(case.eps).around(x))
    there = bounds.trace(copy.deepcopy(net.module).cuda(), x[:1].cuda())
    result = method.call(there, Linf(case.eps).around(x.cuda()))
    assert result.lower.is_cuda
    assert result.upper.is_cuda
    torch.testing.assert_close(result.lower.cpu(), known.lower, rtol=2e-3, atol=2e-4)
    torch.testing.assert_close(result.upper.cpu(), known.upper, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    "method", [bounds.margin_cross_entropy, bounds.fused_cross_entropy], ids=["margins", "fused"]
)
def test_training_step(method: bounds.CrossEntropyMethod) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 3)
    ).cuda()
    x = torch.rand(8, 1, 8, 8, device="cuda")
    y = torch.arange(8, device="cuda") % 3
    bound = method(bounds.trace(model, x), Linf(0.05).around(x), y)
    assert bool((bound.upper >= functional.cross_entropy(model(x), y, reduction="none") - 1e-5).all())
    bound.upper.mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_verify() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)).cuda()
    net, x = bounds.trace(model, torch.zeros(1, 2, device="cuda")), torch.zeros(1, 2, device="cuda")
    label = int(model(x).argmax())
    rows = bounds.margins(2, torch.tensor([label], device="cuda"))
    (verdict,) = bounds.verify(net, Linf(1e-3).around(x), rows, timeout=30)
    assert verdict.answer is Answer.HOLDS
