"""Sentence classifiers: padding has no influence, embeddings are bounded, bounds and attacks agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robustsuite import bounds
from robustsuite.attacks import PGD
from robustsuite.errors import InvalidInput
from robustsuite.nlp import models
from robustsuite.nlp.models import Pooling
from robustsuite.nlp.objectives import InEmbeddings
from robustsuite.nlp.perturbation import WordLinf
from robustsuite.training import Batch, Certified, Constant, Progress, Standard
from tests.nlp.cases import POOLINGS, small_model

poolings = pytest.mark.parametrize("pooling", POOLINGS.values(), ids=list(POOLINGS))


def _tokens() -> Tensor:
    return torch.tensor([[0, 0, 3, 7, 2], [0, 4, 4, 1, 9], [5, 6, 7, 8, 11], [0, 0, 0, 0, 10]])


def test_every_pooling_has_a_case() -> None:
    public = {
        kind
        for kind in vars(models).values()
        if isinstance(kind, type) and kind.__name__.endswith("Pooling") and kind is not Pooling
    }
    assert {type(pooling) for pooling in POOLINGS.values()} == public


def test_padding_has_no_influence_on_a_mean() -> None:
    model = small_model(POOLINGS["mean"]).eval()
    short, long = torch.tensor([[3, 7, 2]]), torch.tensor([[0, 0, 0, 3, 7, 2]])
    torch.testing.assert_close(model(short), model(long))


@poolings
def test_padding_is_zero_and_words_lie_within_1(pooling: Pooling) -> None:
    model, tokens = small_model(pooling), _tokens()
    with torch.no_grad():
        model.table.weight.mul_(100)
    embedded = model.embed(tokens)
    assert bool((embedded[tokens == 0] == 0).all())
    assert float(embedded.detach().abs().max()) <= 1


@poolings
def test_the_region_moves_words_and_leaves_padding(pooling: Pooling) -> None:
    model, tokens = small_model(pooling), _tokens()
    x = model.embed(tokens).detach()
    region = WordLinf(0.2, averaged=pooling.averaged).around(x)
    words = (tokens != 0).sum(1) if pooling.averaged else torch.ones(len(tokens))
    radius = torch.where(tokens != 0, 0.2 / words.unsqueeze(1), 0.0)
    torch.testing.assert_close(region.upper - x, radius.unsqueeze(2).expand_as(x))
    torch.testing.assert_close(x - region.lower, radius.unsqueeze(2).expand_as(x))


@poolings
@pytest.mark.parametrize("method", [bounds.ibp, bounds.crown_ibp, bounds.crown])
def test_bounds_hold_against_samples_and_attacks(pooling: Pooling, method: bounds.Method) -> None:
    model, tokens = small_model(pooling).eval(), _tokens()
    x = model.embed(tokens).detach()
    perturbation = WordLinf(0.3, averaged=pooling.averaged)
    region = perturbation.around(x)
    b = method(bounds.trace(model.network, x[:1]), region)
    y = torch.zeros(len(x), dtype=torch.long)
    attacked = PGD(steps=10)(model.network, x, y, perturbation).adversarial
    for point in (x, attacked, *(region.sample() for _ in range(20))):
        outputs = model.network(point)
        assert bool(((outputs >= b.lower - 1e-5) & (outputs <= b.upper + 1e-5)).all())


@poolings
def test_graphs_follow_the_parameters_and_gradients_reach_every_one(pooling: Pooling) -> None:
    model = small_model(pooling)
    batch = Batch(x=_tokens(), y=torch.tensor([0, 1, 2, 0]), index=torch.arange(4))
    objective = InEmbeddings(
        Certified(
            perturbation=WordLinf(0.05, averaged=pooling.averaged), kappa=Constant(0.0), beta=Constant(0.5)
        )
    )
    progress = Progress(step=3, steps=10, steps_per_epoch=2)
    before = objective(model, batch, progress, torch.nn.Module()).total
    before.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert bool(torch.isfinite(p.grad).all()), name
        assert bool(p.grad.ne(0).any()), name
    with torch.no_grad():
        for p in model.parameters():
            assert p.grad is not None
            p.sub_(0.01 * p.grad)
    after = objective(model, batch, progress, torch.nn.Module()).total
    assert float(after.detach()) < float(before.detach())


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a SentenceClassifier"):
        InEmbeddings(Standard())(
            torch.nn.Linear(2, 2),
            Batch(x=_tokens(), y=torch.zeros(4).long(), index=torch.arange(4)),
            Progress(step=0, steps=1, steps_per_epoch=1),
            torch.nn.Module(),
        )
    with pytest.raises(InvalidInput, match="eps is -1"):
        WordLinf(-1.0)
