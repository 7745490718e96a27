"""The two solutions of the inner problem enclose the truth."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from robustsuite import seeding
from robustsuite.attacks import losses
from robustsuite.envs import scale
from robustsuite.envs.regularizers import (
    ConvexRegularizer,
    Margin,
    PGDRegularizer,
    Regularizer,
    SGLDRegularizer,
)
from robustsuite.envs.training.robustness import Robustness
from robustsuite.errors import InvalidInput
from robustsuite.training import Constant, Linear

from .cases import STD, controller, q_agent


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("actions", [2, 4])
def test_pgd_below_truth_below_convex(beta: float, actions: int) -> None:
    torch.manual_seed(0)
    q = q_agent((4, 16, 16, actions)).policy
    states = torch.randn(32, 4)
    region, greedy = scale.ball(0.2, STD).around(states), q.act(states)
    stream = seeding.generator(0)
    convex = ConvexRegularizer(beta=Constant(beta))
    above = convex.worst(q, Margin(greedy, actions), region, ramp=1.0, generator=stream)
    below = PGDRegularizer(steps=10).worst(q, Margin(greedy, actions), region, ramp=1.0, generator=stream)
    sampled = torch.stack([losses.margin(q(region.sample(generator=stream)), greedy) for _ in range(100)])
    assert (below <= above + 1e-5).all()
    assert (sampled.amax(0) <= above + 1e-5).all()


def test_exact_where_the_closed_form_is_known() -> None:
    q, states = controller().policy, torch.tensor([[0.0, 0.0, 0.1, 0.5], [0.1, 0.2, -0.1, -0.4]])
    eps = torch.tensor(STD) * 0.1
    slope = torch.tensor([0.05, 0.1, 1.0, 0.3])
    expected = (slope * eps).sum() - (states * slope).sum(1).abs()
    region, stream = scale.ball(0.1, STD).around(states), seeding.generator(0)
    convex = ConvexRegularizer(beta=Constant(1.0))
    worst = convex.worst(q, Margin(q.act(states), 2), region, ramp=1.0, generator=stream)
    torch.testing.assert_close(worst, expected)
    # Steps of radius / steps reach at least half of the way from any start.
    found = PGDRegularizer().worst(q, Margin(q.act(states), 2), region, ramp=1.0, generator=stream)
    assert ((found <= expected + 1e-6) & (found >= expected - (slope * eps).sum())).all()


def test_the_share_of_crown_ibp_follows_the_ramp() -> None:
    torch.manual_seed(0)
    q = q_agent((4, 16, 16, 2)).policy
    states = torch.randn(8, 4)
    region, stream = scale.ball(0.2, STD).around(states), seeding.generator(0)

    def worst(start: float, end: float, ramp: float) -> torch.Tensor:
        regularizer = ConvexRegularizer(beta=Linear(start=start, end=end, length=1.0))
        return regularizer.worst(q, Margin(q.act(states), 2), region, ramp=ramp, generator=stream)

    torch.testing.assert_close(worst(1.0, 0.0, 1.0), worst(0.0, 0.0, 1.0))
    torch.testing.assert_close(worst(1.0, 0.0, 0.25), worst(0.75, 0.75, 1.0))


@pytest.mark.parametrize("regularizer", [ConvexRegularizer(), PGDRegularizer(), SGLDRegularizer()])
def test_gradients_reach_the_parameters(regularizer: Regularizer) -> None:
    torch.manual_seed(0)
    q = q_agent((4, 8, 2)).policy
    states = torch.randn(8, 4)
    region = scale.ball(0.2, STD).around(states)
    worst = regularizer.worst(q, Margin(q.act(states), 2), region, ramp=0.5, generator=seeding.generator(0))
    worst.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in list(q.network.parameters())[:-1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Robustness(kappa=-1.0), "kappa is -1.0"),
        (
            lambda: ConvexRegularizer(beta=Constant(2.0)),
            r"beta at 0 of the radius is 2.0; expected a number in \[0, 1\]",
        ),
        (lambda: PGDRegularizer(steps=0), "steps is 0"),
    ],
)
def test_wrong_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()
