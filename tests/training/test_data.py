"""Data: batches know their examples; what is drawn belongs to seed, pass and example; held-out parts are fair."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robustsuite import Linf, bounds, seeding
from robustsuite.errors import InvalidInput
from robustsuite.runs.run import Run
from robustsuite.training import (
    Accuracy,
    Augmented,
    Batch,
    CertifiedAccuracy,
    Descent,
    HeldOut,
    Measure,
    RobustAccuracy,
    Standard,
    Subset,
    TensorData,
    Training,
    fit,
    hold_out,
)
from tests.training.cases import toy_data, toy_model, toy_points


def _noise(x: Tensor, seeds: Tensor) -> Tensor:
    return x + seeding.uniform(seeds, 2).to(x.dtype)


def _stream(epoch: int = 0) -> torch.Generator:
    return seeding.generator(0, "data", epoch)


def test_augmentation_belongs_to_the_example_and_the_pass() -> None:
    data = Augmented(toy_data(), (_noise, _noise))
    whole = data.batch(torch.arange(240), generator=_stream())
    some = torch.tensor([200, 3, 77])
    assert torch.equal(data.batch(some, generator=_stream()).x, whole.x[some])
    assert not torch.equal(data.batch(some, generator=_stream(1)).x, whole.x[some])
    shifts = whole.x - toy_points()[0]
    assert float((shifts[1:] - shifts[:-1]).abs().amax(1).min()) > 0
    assert 0.9 < float(shifts.mean()) < 1.1


def test_a_subset_is_numbered_anew_and_trains() -> None:
    data = Subset(toy_data(), torch.tensor([5, 9, 11, 50]))
    batch = data.batch(torch.tensor([2, 0]), generator=_stream())
    assert torch.equal(batch.x, toy_points()[0][[11, 5]])
    assert batch.index.tolist() == [2, 0]
    fit(toy_model(), Descent(Standard()), data, training=Training(epochs=1), run=Run.scratch(), seed=0)


def test_held_out_parts_have_the_same_share_of_each_class_and_no_example_twice() -> None:
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 7)
    kept, held = hold_out(y, share=0.2, seed=3)
    assert torch.equal(torch.cat([kept, held]).sort().values, torch.arange(87))
    assert y[held].bincount().tolist() == [10, 6, 1]
    assert torch.equal(held, hold_out(y, share=0.2, seed=3)[1])
    assert not torch.equal(held, hold_out(y, share=0.2, seed=4)[1])
    with pytest.raises(InvalidInput, match="class 1 has 1 examples"):
        hold_out(torch.tensor([0, 0, 0, 1]), seed=0)


def test_soft_targets_train_and_are_refused_where_a_label_is_needed() -> None:
    x, y = toy_points()
    soft = 0.9 * torch.nn.functional.one_hot(y, 3) + 0.1 / 3
    data = TensorData(x, soft)
    fit(toy_model(), Descent(Standard()), data, training=Training(epochs=1), run=Run.scratch(), seed=0)
    batch = data.batch(torch.arange(3), generator=_stream())
    with pytest.raises(InvalidInput, match="soft targets; expected class indices"):
        _ = batch.labels
    with pytest.raises(InvalidInput, match="example 4 has probabilities that do not sum to 1"):
        TensorData(x, torch.where(torch.arange(240).unsqueeze(1) == 4, 0.5, soft))


def test_batches_keep_what_comes_with_each_example() -> None:
    x, y = toy_points(6)
    batch = Batch(x=x, y=y, index=torch.arange(6), extra={"weight": torch.arange(6.0)})
    part = batch.select(torch.tensor([4, 1])).to("cpu")
    assert part.extra["weight"].tolist() == part.index.tolist() == [4, 1]
    assert len(part) == 2


def test_weights_are_chosen_on_examples_that_are_not_trained_on() -> None:
    x, y = toy_points()
    ball = Linf(0.3)
    measures: tuple[Measure, ...] = (
        Accuracy(),
        RobustAccuracy(perturbation=ball),
        CertifiedAccuracy(perturbation=ball, method=bounds.crown),
    )
    model = fit(
        toy_model(), Descent(Standard()), toy_data(), training=Training(epochs=20), run=Run.scratch(), seed=0
    )
    values = []
    for measure in measures:
        kept, validate = HeldOut(measure=measure, share=0.3, batch_size=50).split(TensorData(x, y), seed=7)
        places = kept.places.tolist()
        held = torch.tensor([place not in places for place in range(len(x))])
        with torch.no_grad():
            hits = model(x[held]).argmax(1) == y[held]
        values.append(validate(model.eval()))
        assert len(kept) + int(held.sum()) == len(x)
        assert values[0] == float(hits.float().mean())
        # In other batches the same.
        again = HeldOut(measure=measure, share=0.3, batch_size=7).split(TensorData(x, y), seed=7)[1]
        assert again(model) == values[-1]
    assert 1 > values[0] > values[1] >= values[2] > 0
