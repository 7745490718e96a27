"""Evaluation: certified <= attacked <= clean, true counts, the same whatever the batch size; unsound bounds are loud."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robustsuite import Linf, bounds
from robustsuite.attacks import PGD
from robustsuite.evaluation import Evaluation, Identity, UnsoundCertificate
from robustsuite.report.statistics import proportion
from robustsuite.runs.records import Record
from robustsuite.runs.run import ProgressEvent, Run
from robustsuite.training import Adam, Descent, Standard, Training, fit
from tests.training.cases import toy_data, toy_model, toy_points

IDENTITY = Identity(domain="vision", subject="toy", data="plane/test", seed=0, recipe="toy")
RADII = tuple(Linf(eps) for eps in (0.0, 0.2, 0.5, 1.0))


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    update, training = Descent(Standard(), optimizer=Adam(rate=0.01)), Training(epochs=5, batch_size=60)
    return (
        fit(toy_model(), update, toy_data(), training=training, run=Run.scratch(), seed=0),
        *toy_points(),
    )


def _values(records: list[Record]) -> dict[tuple[str, str], float]:
    return {(record.perturbation, record.metric.name): record.value for record in records}


def test_certified_attacked_and_clean_accuracy_are_in_order(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    model, x, y = trained
    values = _values(Evaluation()(model, x, y, RADII, identity=IDENTITY, run=Run.scratch()))
    clean = values["none", "accuracy"]
    for radius in RADII:
        attacked, certified = (
            values[radius.describe(), metric] for metric in ("robust_accuracy", "certified_accuracy")
        )
        assert certified <= attacked <= clean
    assert values["Linf(0)", "certified_accuracy"] == clean
    # A radius of half the distance between classes leaves nothing: the attack must find it.
    assert values["Linf(1)", "robust_accuracy"] < 0.2


def test_counts_and_intervals_are_those_of_the_model(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = trained
    first, *others = Evaluation()(model, x, y, RADII[1:2], identity=IDENTITY, run=Run.scratch())
    with torch.no_grad():
        hits = int((model(x).argmax(1) == y).sum())
    expected = proportion(hits, len(x))
    assert (first.value, first.low, first.high, first.n) == (
        expected.value,
        expected.low,
        expected.high,
        len(x),
    )
    assert [record.method for record in others] == ["PGD", "ibp+crown_ibp+crown"]
    assert others[0].queries >= hits
    assert all(record.subject == "toy" and record.recipe == "toy" for record in (first, *others))


def test_sound_certificates_say_so_and_certify_no_more(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = trained
    plain, sound = (
        Evaluation(attack=PGD(steps=1), certificates=(bounds.crown,), sound=sound)(
            model, x, y, RADII[2:3], identity=IDENTITY, run=Run.scratch()
        )[-1]
        for sound in (False, True)
    )
    assert (plain.method, sound.method) == ("crown", "crown, sound")
    assert 0 < sound.value <= plain.value


def test_sound_certificates_bound_rounding() -> None:
    """In real numbers the two classes differ by 1e-3 everywhere; float32 loses that among weights of 1e5."""
    weight = torch.tensor([[1e5, -1e5], [1e5, -1e5]])
    model = nn.Linear(2, 2)
    model.load_state_dict({"weight": weight, "bias": torch.tensor([1e-3, 0.0])})
    x, y = torch.full((1, 2), 0.3), torch.zeros(1, dtype=torch.long)
    values = [
        Evaluation(attack=PGD(steps=1), certificates=(bounds.crown,), sound=sound)(
            model, x, y, RADII[1:2], identity=IDENTITY, run=Run.scratch()
        )[-1].value
        for sound in (False, True)
    ]
    assert values == [1.0, 0.0]


def test_an_attack_without_certificates_gives_no_certified_record(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    model, x, y = trained
    records = Evaluation(certificates=())(model, x, y, RADII[:1], identity=IDENTITY, run=Run.scratch())
    assert [record.metric.name for record in records] == ["accuracy", "robust_accuracy"]


def test_results_do_not_depend_on_the_batch_size(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = trained
    small, large = (
        _values(
            Evaluation(attack=PGD(steps=5), batch_size=size)(
                model, x, y, RADII, identity=IDENTITY, run=Run.scratch()
            )
        )
        for size in (7, 240)
    )
    assert small == large


def test_the_union_of_certificates_is_at_least_each_of_them(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    model, x, y = trained
    both = Evaluation()

    def share(evaluation: Evaluation) -> float:
        records = evaluation(model, x, y, RADII[2:3], identity=IDENTITY, run=Run.scratch())
        return _values(records)[RADII[2].describe(), "certified_accuracy"]

    for method in both.certificates:
        assert share(both) >= share(replace(both, certificates=(method,)))


def certify_everything(
    net: bounds.Graph, region: object, *, objective: Tensor | None = None, upper: bool = True
) -> bounds.Bounds:
    assert objective is not None
    return bounds.Bounds(torch.ones(objective.shape[:2]), torch.ones(objective.shape[:2]))


def test_a_broken_certificate_is_an_error(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = trained
    wrong = Evaluation(certificates=(certify_everything,))
    with pytest.raises(
        UnsoundCertificate, match=r"PGD broke \d+ examples that were certified under Linf\(1\)"
    ):
        wrong(model, x, y, RADII[3:], identity=IDENTITY, run=Run.scratch())


def test_progress_reaches_its_end(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    events: list[ProgressEvent] = []
    run = Run(Run.scratch().path, listener=events.append)
    Evaluation()(*trained, RADII[:2], identity=IDENTITY, run=run)
    assert events[-1].done == events[-1].total
