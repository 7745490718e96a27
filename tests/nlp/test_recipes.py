"""Recipes of sentences: they train, evaluate in order, and show what they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from robustsuite import recipes
from robustsuite.nlp import DEMO, RECIPES, SentenceClassification
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run


def _recipe(name: str) -> SentenceClassification:
    recipe = RECIPES[name]()
    assert isinstance(recipe, SentenceClassification)
    return recipe


def _measure(recipe: SentenceClassification) -> list[Record]:
    run = Run.scratch()
    recipe.train(run)
    return recipe.evaluate(run)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_the_way_through_json(name: str, tmp_path: Path) -> None:
    assert RECIPES[name]().name == name
    recipes.save_json(RECIPES[name](), tmp_path / "recipe.json")
    assert recipes.load_json(tmp_path / "recipe.json") == RECIPES[name]()


def test_the_demo_compares_standard_and_certified_training_of_each_pooling() -> None:
    assert set(DEMO) <= set(RECIPES)
    for standard in (name for name in DEMO if name.endswith("standard")):
        certified = standard.replace("standard", "certified")
        assert certified in DEMO
        assert _recipe(standard).pooling == _recipe(certified).pooling
        assert _recipe(standard).radii == _recipe(certified).radii


def test_certified_training_holds_where_standard_training_breaks() -> None:
    found = {}
    for kind in ("standard", "certified"):
        records = _measure(replace(_recipe(f"reviews-mean-{kind}"), measured=300))
        values = {(record.perturbation, record.metric.name): record.value for record in records}
        found[kind] = values
        for eps in ("WordLinf(0.01)", "WordLinf(0.03)", "WordLinf(0.05)"):
            certified, attacked = values[eps, "certified_accuracy"], values[eps, "robust_accuracy"]
            assert certified <= attacked <= values["none", "accuracy"]
    assert found["standard"]["none", "accuracy"] > 0.75
    assert found["certified"]["none", "accuracy"] > 0.75
    for metric, gain in (("robust_accuracy", 0.1), ("certified_accuracy", 0.2)):
        assert (
            found["certified"]["WordLinf(0.05)", metric] > found["standard"]["WordLinf(0.05)", metric] + gain
        )


def test_an_lstm_reads_the_order_of_words() -> None:
    recipe = replace(_recipe("reviews-lstm-standard"), radii=())
    (clean,) = _measure(recipe)
    assert clean.metric.name == "accuracy"
    assert clean.value > 0.93  # a mean of the words stays below 0.87 on these sentences


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("reviews")])
def test_recipes_of_real_sentences_run(name: str, data_folder: Callable[[str], Path]) -> None:
    recipe = _recipe(name)
    data_folder(recipe.data)
    records = _measure(replace(recipe, training=replace(recipe.training, epochs=3), measured=50))
    assert records[0].value > 0.5
