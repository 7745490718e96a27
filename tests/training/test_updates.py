"""Updates: killed and resumed to the bit, in parts and over again as at once; and what each promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from robustsuite import Linf, training
from robustsuite.runs import checkpoints, serialization
from robustsuite.runs.run import Run
from robustsuite.training import (
    AWP,
    CAT,
    SGD,
    TRADES,
    Adversarial,
    Averaged,
    Batch,
    Descent,
    Loss,
    Objective,
    PerExample,
    Progress,
    Standard,
    TensorData,
    Training,
    Update,
    fit,
    updates,
)
from robustsuite.training.objective import Findings
from tests.training.cases import TOY_UPDATES, UPDATES, resumes_to_the_bit, toy_model, toy_points, toy_training

EVERY = {**UPDATES, **TOY_UPDATES}
names = pytest.mark.parametrize("name", EVERY)


def test_every_public_update_has_a_case() -> None:
    public = {name for name in updates.__all__ if isinstance(getattr(updates, name), type)}
    assert public == {type(update).__name__ for update in UPDATES.values()}


@names
def test_killed_and_resumed_it_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    resumes_to_the_bit(EVERY[name], tmp_path)


@names
def test_it_lowers_the_loss(name: str) -> None:
    x, y = toy_points()
    trained = toy_training(EVERY[name], Run.scratch(), model=toy_model())
    with torch.no_grad():
        before, after = (float(functional.cross_entropy(model(x), y)) for model in (toy_model(), trained))
    assert after < before


@pytest.mark.parametrize("name", UPDATES)
def test_updates_survive_the_way_through_json(name: str) -> None:
    assert serialization.from_json(serialization.to_json(UPDATES[name]), Update) == UPDATES[name]


def test_gradients_are_cut() -> None:
    x, y = toy_points()
    model, start = toy_model(), toy_model()
    update = Descent(Standard(), optimizer=SGD(rate=1.0, momentum=0.0), gradient_norm=1e-3)
    setup = Training(epochs=1, batch_size=240)
    fit(model, update, TensorData(100 * x, y), training=setup, run=Run.scratch(), seed=0)
    moved = torch.cat(
        [(p - q).flatten() for p, q in zip(model.parameters(), start.parameters(), strict=True)]
    )
    assert float(moved.detach().norm()) == pytest.approx(1e-3, rel=1e-3)


def test_awp_of_no_size_is_its_base_to_the_bit() -> None:
    base = Averaged(Descent(Adversarial(perturbation=Linf(0.2))), decay=0.5)
    models = [toy_training(update, Run.scratch()) for update in (base, AWP(base, gamma=0.0))]
    for (name, one), other in zip(
        models[0].state_dict().items(), models[1].state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


@dataclass(frozen=True)
class _Tells(Objective):
    """Tells the weights at which it is called; and counts its calls in its state."""

    told: list[Tensor]

    def state(self, model: nn.Module, examples: int) -> nn.Module:
        return PerExample(calls=torch.zeros(examples))

    def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
        assert isinstance(model, nn.Linear)
        self.told.append(model.weight.detach().clone())
        state.get_buffer("calls")[batch.index] += 1
        return Standard()(model, batch, progress, state)


def test_awp_moves_each_weight_by_gamma_of_its_norm_up_the_loss_and_puts_it_back(tmp_path: Path) -> None:
    x, y = toy_points(30)
    told: list[Tensor] = []
    model = nn.Linear(2, 3)
    update = AWP(Descent(_Tells(told), optimizer=SGD(rate=1e-3, momentum=0.0)), gamma=0.1)
    run = Run.scratch(tmp_path)
    fit(model, update, TensorData(x, y), training=Training(epochs=1), run=run, seed=0)
    here, there = told
    assert float((there - here).norm()) == pytest.approx(0.1 * float(here.norm()), rel=1e-5)
    losses = [
        float(functional.cross_entropy(functional.linear(x, w, model.bias.detach()), y))
        for w in (here, there)
    ]
    assert losses[1] > losses[0]
    assert float((model.weight.detach() - here).norm()) < 0.01 * float(here.norm())
    # The first look leaves no trace in the objective's state.
    saved = checkpoints.load(run.checkpoints / "training.safetensors").part("states")
    assert torch.equal(saved.tensors["0.calls"], torch.ones(30))


class _Watched(nn.Module):
    """Writes down what it is shown, and in which mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.shown = toy_model(), list[tuple[bool, Tensor]]()

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append((self.training, x.detach().clone()))
        outputs: Tensor = self.net(x)
        return outputs


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    "objective",
    [
        Adversarial(perturbation=Linf(0.2)),
        TRADES(perturbation=Linf(0.2)),
        CAT(perturbation=Linf(0.2), eta=0.2),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_awp_attacks_once_and_moves_the_weights_for_these_examples(
    objective: Objective, accumulate: int
) -> None:
    """The paper's cost: one gradient more than the update's own, at the same adversarial examples."""
    counts = []
    for wrapped in (False, True):
        model = _Watched()
        base = Descent(objective, optimizer=SGD(rate=1e-3), accumulate=accumulate)
        update = AWP(base, gamma=0.1) if wrapped else base
        fit(
            model, update, TensorData(*toy_points(30)), training=Training(epochs=1), run=Run.scratch(), seed=0
        )
        trained = [x for training, x in model.shown if training]
        counts.append((len(model.shown) - len(trained), len(trained)))
        if wrapped:
            half = len(trained) // 2
            for here, there in zip(trained[:half], trained[half:], strict=True):
                assert torch.equal(here, there)
    (searched, plain), (again, twice) = counts
    assert again == searched > 0
    assert twice == 2 * plain


def test_what_was_found_is_taken_for_the_same_examples_alone() -> None:
    findings, one, other = Findings(), torch.tensor([1, 2]), torch.tensor([1, 3])
    asked: list[str] = []

    def find(name: str) -> Callable[[], str]:
        def found() -> str:
            asked.append(name)
            return name

        return found

    first = [findings.once(one, find("a")), findings.once(one, find("b"))]
    again = findings.again()
    assert [again.once(one, find("c")), again.once(one, find("d"))] == first == ["a", "b"]
    again = findings.again()
    assert [again.once(other, find("e")), again.once(one, find("f"))] == ["e", "f"]
    assert asked == ["a", "b", "e", "f"]


def test_averaged_weights_are_an_equal_mean_first_and_are_what_is_validated_and_saved() -> None:
    seen: list[Tensor] = []
    kept: list[Tensor] = []
    x, y = toy_points(40)

    @dataclass(frozen=True)
    class Watch(Objective):
        def __call__(self, model: nn.Module, batch: Batch, progress: Progress, state: nn.Module) -> Loss:
            kept.append(next(model.parameters()).detach().clone())
            return Standard()(model, batch, progress, state)

    def validate(model: nn.Module) -> float:
        seen.append(next(model.parameters()).detach().clone())
        return float(len(seen))

    update = Averaged(Descent(Watch(), optimizer=SGD(rate=0.1)), decay=1.0)
    setup = Training(epochs=4, batch_size=40)
    model = fit(
        toy_model(), update, TensorData(x, y), training=setup, run=Run.scratch(), seed=0, validate=validate
    )
    # Calls see the weights before each step: those after the first three are steps 1 to 3 of the mean.
    torch.testing.assert_close(seen[2], torch.stack(kept[1:4]).mean(0))
    assert torch.equal(next(model.parameters()), seen[3])


def test_the_same_numbers_are_drawn_again_and_others_when_asked() -> None:
    answers: list[Tensor] = []

    @dataclass(frozen=True)
    class Twice(Update):
        base: Descent

        def start(self, setting: training.Setting) -> training.Running:
            inner = self.base.start(setting)

            class Running(training.Running):
                def step(self, step: training.Step) -> dict[str, float]:
                    def ask(request: training.Request, draw: int) -> dict[str, Tensor]:
                        still = replace(request, keep=False)
                        answers.extend(step.answer(still, other)["loss"] for other in (0, 0, 1))
                        return step.answer(request, draw)

                    return inner.step(replace(step, answer=ask))

            return Running()

    toy_training(Twice(Descent(Adversarial(perturbation=Linf(0.2)))), Run.scratch())
    for first, again, other in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_a_model_may_change_its_input_in_place() -> None:
    """An update that asks about a batch twice gets the same one."""

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = toy_model()

        def forward(self, x: Tensor) -> Tensor:
            x += 1.0
            outputs: Tensor = self.net(x)
            return outputs

    class Careful(Shifted):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.clone())

    first, second = (
        toy_training(AWP(Descent(Standard())), Run.scratch(), model=model, epochs=1)
        for model in (Shifted(), Careful())
    )
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)
