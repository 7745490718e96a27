"""Objectives: the limit at radius 0, finite gradients, a learnt toy problem; and what each promises."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from robustsuite import Linf, bounds, training
from robustsuite.attacks import PGD, HighestLoss
from robustsuite.errors import InvalidInput
from robustsuite.runs import serialization
from robustsuite.runs.run import Run
from robustsuite.training import Adam, Objective, Progress, Training, fit, objectives
from tests.training.cases import OBJECTIVES, toy_data, toy_model

names = pytest.mark.parametrize("name", OBJECTIVES)


def _progress(step: int = 50) -> Progress:
    return Progress(step=step, steps=100, steps_per_epoch=5, generator=torch.Generator().manual_seed(0))


def test_every_public_objective_has_a_case() -> None:
    public = set(objectives.__all__)
    assert public == {type(objective).__name__ for objective, _ in OBJECTIVES.values()}


@names
def test_radius_0_is_cross_entropy(name: str) -> None:
    x, y = toy_data(30)
    model = toy_model()
    loss = OBJECTIVES[name][1](model, x, y, _progress()).total
    torch.testing.assert_close(loss, functional.cross_entropy(model(x), y))


@names
def test_the_loss_is_a_finite_scalar_with_finite_gradients_for_every_parameter(name: str) -> None:
    x, y = toy_data(30)
    model = toy_model()
    loss = OBJECTIVES[name][0](model, x, y, _progress())
    assert loss.total.shape == ()
    assert all(bool(torch.isfinite(term)) for term in (loss.total, *loss.terms.values()))
    loss.total.backward()
    for p in model.parameters():
        assert p.grad is not None
        assert bool(torch.isfinite(p.grad).all())
        assert bool(p.grad.ne(0).any())


@names
def test_the_batch_loss_is_the_mean_over_examples(name: str) -> None:
    # What data-parallel training relies on. Standard and certified losses draw no random numbers.
    x, y = toy_data(6)
    model, objective = toy_model().eval(), OBJECTIVES[name][0]
    if isinstance(objective, training.Adversarial):
        steady = PGD(steps=3, random_start=False)
        objective = training.Adversarial(perturbation=objective.perturbation, attack=steady)
    whole = objective(model, x, y, _progress()).total
    parts = [objective(model, x[i : i + 1], y[i : i + 1], _progress()).total for i in range(len(x))]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


@names
def test_the_toy_problem_is_learnt(name: str) -> None:
    x, y = toy_data()
    model = fit(
        toy_model(),
        OBJECTIVES[name][0],
        x,
        y,
        training=Training(epochs=25, batch_size=60, optimizer=Adam(rate=0.02)),
        run=Run.scratch(),
        seed=0,
    )
    with torch.no_grad():
        assert float((model(x).argmax(1) == y).float().mean()) > 0.97


def test_certified_training_certifies_what_standard_training_does_not() -> None:
    x, y = toy_data()
    ball = Linf(0.42)
    ramp = training.SmoothedRamp(begin=1.0, length=15.0)
    shares = []
    for objective in (training.Standard(), training.Certified(perturbation=ball, radius=ramp)):
        setup = Training(epochs=25, batch_size=60, optimizer=Adam(rate=0.02))
        model = fit(toy_model(), objective, x, y, training=setup, run=Run.scratch(), seed=0)
        proved = bounds.certified(bounds.trace(model, x), ball.around(x), y, method=bounds.ibp)
        shares.append(float(proved.float().mean()))
    assert shares[1] > max(0.9, shares[0] + 0.1)


def test_a_clean_loss_of_no_weight_costs_no_gradient_and_still_trains() -> None:
    x, y = toy_data(30)
    for ramp, robust in ((training.Constant(0.0), False), (training.Constant(1.0), True)):
        objective = training.Certified(
            perturbation=Linf(0.1), radius=ramp, kappa_start=0.0, kappa_end=0.0, beta_end=1.0
        )
        loss = objective(toy_model(), x, y, _progress())
        assert loss.total.requires_grad
        assert ("robust" in loss.terms) == robust
        if robust:
            assert not loss.terms["clean"].requires_grad
            torch.testing.assert_close(loss.total, loss.terms["robust"])


def test_the_attack_in_training_leaves_the_model_in_training_mode_and_without_gradients() -> None:
    x, y = toy_data(12)
    model = toy_model().train()
    OBJECTIVES["Adversarial"][0](model, x, y, _progress())
    assert all(part.training for part in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_the_attack_in_training_does_not_stop_at_the_first_mistake() -> None:
    x, y = toy_data(60)
    model = toy_model().eval()
    far = PGD(steps=10)(model, x, HighestLoss(y), Linf(0.4))
    near = PGD(steps=10)(model, x, y, Linf(0.4))
    with torch.no_grad():
        worst, first = (functional.cross_entropy(model(found.adversarial), y) for found in (far, near))
    assert float(worst) > float(first)


@names
def test_objectives_survive_the_way_through_json(name: str) -> None:
    objective: Objective = OBJECTIVES[name][0]
    assert serialization.from_json(serialization.to_json(objective), Objective) == objective


def test_weights_outside_0_to_1_are_refused() -> None:
    with pytest.raises(InvalidInput, match="kappa_end is 2.0"):
        training.Certified(perturbation=Linf(0.1), kappa_end=2.0)
