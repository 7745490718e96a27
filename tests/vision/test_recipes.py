"""Recipes of images: they train, resume, evaluate, and show what they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from robustsuite import recipes
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
from robustsuite.training import Adversarial, Certified, Descent, Linear, SmoothedRamp
from robustsuite.vision import DEMO, RECIPES, Classification


def _short(name: str, epochs: int) -> Classification:
    recipe = RECIPES[name]()
    assert isinstance(recipe, Classification)
    assert isinstance(recipe.update, Descent)
    objective = recipe.update.objective
    if isinstance(objective, Certified):
        objective = replace(objective, radius=SmoothedRamp(begin=0.5, length=0.6 * epochs))
    if isinstance(objective, Adversarial):
        objective = replace(objective, radius=Linear(length=1.0))
    training = replace(recipe.training, epochs=epochs)
    return replace(
        recipe, update=replace(recipe.update, objective=objective), training=training, measured=100
    )


def _metrics(records: list[Record]) -> dict[tuple[str, str], float]:
    return {(record.perturbation, record.metric.name): record.value for record in records}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_the_way_through_json(name: str, tmp_path: Path) -> None:
    assert RECIPES[name]().name == name
    recipes.save_json(RECIPES[name](), tmp_path / "recipe.json")
    assert recipes.load_json(tmp_path / "recipe.json") == RECIPES[name]()


def test_the_demo_compares_three_trainings_of_one_network_under_the_same_radii() -> None:
    trio = [RECIPES[name]() for name in DEMO]
    assert [name.partition("-")[2] for name in DEMO] == ["standard", "adversarial", "certified"]
    for recipe in trio:
        assert isinstance(recipe, Classification)
        first = trio[0]
        assert isinstance(first, Classification)
        assert recipe.architecture == first.architecture
        assert recipe.perturbations == first.perturbations


def test_short_trainings_already_differ_as_they_should() -> None:
    found = {}
    for name, epochs in zip(DEMO, (6, 8, 10), strict=True):
        run, recipe = Run.scratch(), _short(name, epochs)
        recipe.train(run)
        records = recipe.evaluate(run)
        found[name.partition("-")[2]] = _metrics(records)
        assert len(records) == 1 + 2 * len(recipe.perturbations)
        assert {record.data for record in records} == {"digits/test"}
    eps = "Linf(0.1)"
    assert all(metrics["none", "accuracy"] > 0.8 for metrics in found.values())
    assert found["adversarial"][eps, "robust_accuracy"] > found["standard"][eps, "robust_accuracy"] + 0.1
    assert found["certified"][eps, "certified_accuracy"] > found["standard"][eps, "certified_accuracy"] + 0.2


def test_the_same_recipe_gives_the_same_records_and_another_seed_others() -> None:
    recipe = _short("digits-standard", 2)

    def measured(recipe: Classification) -> list[tuple[str, float, int]]:
        run = Run.scratch()
        recipe.train(run)
        return [(record.metric.name, record.value, record.queries) for record in recipe.evaluate(run)]

    once = measured(recipe)
    assert measured(recipe) == once
    assert measured(replace(recipe, seed=1)) != once


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mnist10k", "cifar10"])
def test_recipes_of_real_images_train(data: str, data_folder: Callable[[str], Path]) -> None:
    data_folder(data)
    run, recipe = Run.scratch(), replace(_short(f"{data}-standard", 1), measured=50)
    recipe.train(run)
    assert _metrics(recipe.evaluate(run))["none", "accuracy"] > 0.3
