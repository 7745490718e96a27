"""Criteria: what they hold, what meets them, and what attacks raise for them."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor
from torch.nn import functional

from robustsuite import L1, L2, Linf, attacks
from robustsuite.attacks import (
    PGD,
    BatchCriterion,
    Boundary,
    Confident,
    Divergence,
    HighestLoss,
    Misclassification,
    RandomSearch,
    Targeted,
    losses,
)
from robustsuite.errors import InvalidInput

from .cases import CRITERIA, LABELS, LOGITS, digits, examples, trained

NUMBERS = LOGITS.argmax(1)

every = pytest.mark.parametrize("criterion", CRITERIA, ids=lambda c: type(c).__name__)


def test_every_criterion_has_a_case() -> None:
    public = {
        name
        for name in attacks.__all__
        if is_dataclass(getattr(attacks, name)) and issubclass(getattr(attacks, name), BatchCriterion)
    }
    assert public == {type(criterion).__name__ for criterion in CRITERIA}


@every
def test_an_attack_finds_what_meets_it_and_nothing_else(criterion: Any) -> None:
    """On a linear model of three examples, within a wide box; a criterion that is never met is never a success."""
    weights, x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 6)

    def model(x: Tensor) -> Tensor:
        return x @ weights

    noise = torch.Generator().manual_seed(0)
    found = PGD(steps=20)(model, x, criterion, Linf(2.0), generator=noise)
    assert torch.equal(criterion.met(model(found.adversarial)), found.success)
    before, after = criterion.score(model(x)), criterion.score(model(found.adversarial))
    assert bool((after[~found.success] >= before[~found.success]).all())


@every
def test_rows_are_selected_in_order_and_as_often_as_named(criterion: Any) -> None:
    index = torch.tensor([2, 0, 2, 1])
    picked = criterion.select(index)
    assert torch.equal(picked.met(LOGITS[index]), criterion.met(LOGITS)[index])
    assert torch.equal(picked.score(LOGITS[index]), criterion.score(LOGITS)[index])
    with pytest.raises(InvalidInput, match="4 examples|expected .batch,. = .4,."):
        PGD()(trained(), torch.zeros(4, 64), criterion, Linf(0.1))


def test_scores_say_how_near_an_output_comes() -> None:
    wrong, wanted = Misclassification(LABELS), Targeted(torch.tensor([1, 1, 2]))
    assert wrong.met(LOGITS).tolist() == [False, True, False]
    assert wrong.score(LOGITS).tolist() == [-1.0, 2.0, -2.5]
    assert wanted.met(LOGITS).tolist() == [False, True, True]
    assert wanted.score(LOGITS).tolist() == [-1.0, 2.0, 2.5]
    assert (wrong & wanted).met(LOGITS).tolist() == [False, True, False]
    assert (wrong & wanted).score(LOGITS).tolist() == [-1.0, 2.0, -2.5]
    assert Confident(wrong, 2.5).met(LOGITS).tolist() == [False, False, False]
    assert Confident(wrong, 2.0).met(LOGITS).tolist() == [False, True, False]
    torch.testing.assert_close(
        HighestLoss(LABELS).score(LOGITS), functional.cross_entropy(LOGITS, LABELS, reduction="none")
    )
    assert not bool(HighestLoss(LABELS).met(LOGITS).any())


def test_class_numbers_are_met_or_not() -> None:
    wrong = Misclassification(LABELS)
    assert wrong.met(NUMBERS).tolist() == [False, True, False]
    assert wrong.score(NUMBERS).tolist() == [-1.0, 1.0, -1.0]
    assert Targeted(LABELS).score(NUMBERS).tolist() == [1.0, -1.0, 1.0]


def test_divergence_is_that_of_the_distributions() -> None:
    reference = LOGITS.flip(1)
    expected = functional.kl_div(
        LOGITS.log_softmax(1), reference.log_softmax(1), log_target=True, reduction="none"
    )
    torch.testing.assert_close(Divergence(reference).score(LOGITS), expected.sum(1))
    assert not bool(Divergence(reference).met(LOGITS).any())
    ruled_out = LOGITS.index_fill(1, torch.tensor([2]), -torch.inf)
    left = Divergence(reference.index_fill(1, torch.tensor([2]), -torch.inf)).score(ruled_out)
    others = torch.tensor([0, 1, 3])
    torch.testing.assert_close(left, Divergence(reference[:, others]).score(LOGITS[:, others]))
    x, _ = examples()
    with torch.no_grad():
        clean = trained()(x)
    found = PGD(steps=10)(
        trained(), x, Divergence(clean), Linf(0.1), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        assert float(Divergence(clean).score(trained()(found.adversarial)).mean()) > 0.5
    with pytest.raises(InvalidInput, match="Divergence has no labels for the loss margin"):
        PGD(loss=losses.margin)(trained(), x, Divergence(clean), Linf(0.1))
    with pytest.raises(InvalidInput, match="reference has 4 classes and the model gives 10"):
        PGD()(trained(), x[:3], Divergence(LOGITS), Linf(0.1))


def test_losses_may_hold_data_of_their_examples() -> None:
    """The target in the loss, misclassification as success."""

    class Toward:
        def __init__(self, wanted: Tensor) -> None:
            self.wanted = wanted

        def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
            return (outputs.gather(1, self.wanted[:, None]) - outputs.gather(1, labels[:, None])).squeeze(1)

        def select(self, index: Tensor) -> Toward:
            return Toward(self.wanted[index])

    x, y = examples()
    wanted = (y + 1) % 10
    far = Linf(0.25, clip=(0, 1))
    found = PGD(steps=30, loss=Toward(wanted))(
        trained(), x, Confident(Misclassification(y), 9.0), far, generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        reached = trained()(found.adversarial).argmax(1) == wanted
    assert float(reached.double().mean()) > 0.5


def test_the_ratio_has_a_form_of_its_own_towards_a_class() -> None:
    wanted = torch.tensor([1, 1, 0])
    toward = losses.toward(losses.difference_of_logits_ratio)(LOGITS, wanted)
    expected = torch.tensor([-1.0 / 2.5, 2.0 / 2.75, -3.0 / 3.5])
    torch.testing.assert_close(toward, expected)
    torch.testing.assert_close(
        losses.toward(losses.difference_of_logits_ratio)(7 * LOGITS + 3, wanted), expected
    )
    torch.testing.assert_close(losses.toward(losses.margin)(LOGITS, wanted), -losses.margin(LOGITS, wanted))
    with pytest.raises(InvalidInput, match="got 3 classes; expected four or more"):
        losses.difference_of_logits_ratio_toward(LOGITS[:, :3], wanted)


@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_criteria() -> None:
    x, y = examples()
    wrong: list[tuple[Any, str]] = [
        ("margin", "y is 'margin'; expected a tensor"),
        (Misclassification, "y is the class Misclassification"),
        (losses.margin, "y is the function margin"),
        (Misclassification(y + 10), r"labels lie in \[10"),
        (Targeted(y[:3]), r"target labels have shape \(3,\) for 24 examples"),
        (Divergence(torch.zeros(3, 10)), "expected logits for 24 examples"),
    ]
    for criterion, message in wrong:
        with pytest.raises(InvalidInput, match=message):
            PGD()(trained(), x, criterion, Linf(0.1))
    with pytest.raises(InvalidInput, match="HighestLoss compares scores, and the model gives class numbers"):
        Boundary()(attacks.labels_only(trained()), x, HighestLoss(y), L2(1.0, clip=(0, 1)))
    with pytest.raises(InvalidInput, match="reference is a Tensor of shape .24,. .*; expected logits"):
        Divergence(y)
    with pytest.raises(InvalidInput, match="criterion is 3; expected a criterion"):
        Misclassification(y) & 3  # type: ignore[operator]


@pytest.mark.parametrize(
    "classifier",
    [
        RandomForestClassifier(20, random_state=0),
        GradientBoostingClassifier(n_estimators=5, max_depth=3, random_state=0),
        DecisionTreeClassifier(max_depth=8, random_state=0),
        SVC(),
    ],
    ids=lambda c: type(c).__name__,
)
def test_estimators_answer_as_they_predict(classifier: Any) -> None:
    x, y = digits()
    names = np.array(list("abcdefghij"))
    classifier.fit(x[:600].numpy(), names[y[:600].numpy()])
    model = attacks.estimator(classifier)
    shown, labels = x[1200:1240], y[1200:1240]
    outputs = model(shown)
    assert outputs.shape == (40, 10)
    assert names[outputs.argmax(1).numpy()].tolist() == classifier.predict(shown.numpy()).tolist()
    found = RandomSearch(max_queries=60)(
        model, shown, labels, Linf(0.3, clip=(0, 1)), generator=torch.Generator().manual_seed(0)
    )
    right = outputs.argmax(1) == labels
    assert float(found.success[right].double().mean()) > 0.3
    with pytest.raises(InvalidInput, match="no gradient by its input; .* take Boundary"):
        PGD()(model, shown, labels, Linf(0.3))
    numbers = attacks.labels_only(model)(shown)
    assert torch.equal(numbers, outputs.argmax(1))


def test_estimators_of_two_classes_and_those_without_scores() -> None:
    x, y = digits()
    few = y < 2
    classifier = SVC().fit(x[few].numpy(), y[few].numpy())
    model = attacks.estimator(classifier)
    assert torch.equal(model(x[few]).argmax(1), torch.as_tensor(classifier.predict(x[few].numpy())))

    class Nearest:
        classes_ = np.array([0, 1])

        def predict(self, rows: Any) -> Any:
            return (rows.mean(1) > 0.5).astype(int)

    assert attacks.estimator(Nearest())(torch.tensor([[0.1], [0.9]])).tolist() == [0, 1]
    for wrong in (SVC(), SVC, 3):
        with pytest.raises(InvalidInput, match="expected a fitted scikit-learn classifier"):
            attacks.estimator(wrong)


@pytest.mark.parametrize("attack", [PGD(steps=5), attacks.DDN(steps=30)], ids=["by radius", "the nearest"])
def test_curves_fall(attack: attacks.Attack) -> None:
    x, y = examples()
    radii = [L2(eps, clip=(0, 1)) for eps in (0.0, 0.3, 0.8, 1.5, 2.5)]
    found = attacks.curve(trained(), x, y, radii, attack, generator=torch.Generator().manual_seed(0))
    assert found.standing.shape == (5, 24)
    assert bool((found.standing[:-1] >= found.standing[1:]).all())
    assert bool(found.standing[0].all())
    assert int(found.standing[-1].sum()) < 5
    apart = [attack(trained(), x, y, ball, generator=torch.Generator().manual_seed(0)) for ball in radii]
    for row, one in zip(found.standing, apart, strict=True):
        assert int(row.sum()) <= int((~one.success).sum()) + 2
    assert int(found.queries.sum()) < int(sum(one.queries.sum() for one in apart))


def test_curves_of_mixed_threats() -> None:
    x, y = examples()
    threats = [Linf(0.02), L1(1.0), Linf(0.3), L2(0.5)]
    found = attacks.curve(trained(), x, y, threats, PGD(steps=5), generator=torch.Generator().manual_seed(0))
    assert bool((found.standing[2] <= found.standing[0]).all())
    with pytest.raises(InvalidInput, match="perturbations is empty"):
        attacks.curve(trained(), x, y, [], PGD())


@pytest.mark.parametrize(
    "attack",
    [
        attacks.InTurn((attacks.DDN(steps=20), PGD(steps=5))),
        attacks.InTurn((PGD(steps=5), attacks.DDN(steps=20))),
        attacks.Transfer((trained(),), attacks.DDN(steps=20)),
    ],
    ids=["the nearest first", "the nearest last", "transfer"],
)
def test_curves_of_attacks_made_of_attacks(attack: attacks.Attack) -> None:
    """What needs a finite radius gets one, though a part of it would do without."""
    x, y = examples()
    radii = [L2(eps, clip=(0, 1)) for eps in (0.3, 0.8, 1.5)]
    found = attacks.curve(trained(), x, y, radii, attack, generator=torch.Generator().manual_seed(0))
    apart = [attack(trained(), x, y, ball, generator=torch.Generator().manual_seed(0)) for ball in radii]
    for row, one in zip(found.standing, apart, strict=True):
        assert int(row.sum()) <= int((~one.success).sum()) + 2
    with pytest.raises(InvalidInput, match="searches within a radius"):
        attack(trained(), x, y, L2(torch.inf, clip=(0, 1)))


@pytest.mark.parametrize(
    "model",
    [lambda x: (x,), lambda x: x.numpy(), lambda x: x[:, None], lambda x: x[:, :1], lambda x: x[:, 0]],
    ids=["tuple", "array", "axes", "one class", "numbers"],
)
def test_models_without_classes_have_none_to_show(model: Any) -> None:
    x, y = examples()
    with pytest.raises(InvalidInput, match="the model gives a .*two classes or more"):
        attacks.Boundary(max_queries=10)(attacks.labels_only(model), x, y, L2(torch.inf, clip=(0, 1)))
