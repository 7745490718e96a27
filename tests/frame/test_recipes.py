"""Recipes: the JSON form is exact and cannot choose what is imported; discovery survives broken domains."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from robustsuite import L1, L2, Box, Linf, recipes
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Perturbation
from robustsuite.recipes import Family, Recipe, catalogue
from robustsuite.runs import serialization

from ..toy_domain import install


def _everything() -> list[Recipe]:
    found = recipes.discover()
    return [entry() for domain in found.domains.values() for entry in domain.recipes.values()]


def test_the_suite_s_domains_load_and_say_what_the_demo_runs() -> None:
    found = recipes.discover()
    assert found.failures == {}
    assert set(found.domains) >= {"envs", "nlp", "vision"}
    for domain in found.domains.values():
        assert domain.demo
        assert set(domain.demo) <= set(domain.recipes)
        for name, entry in domain.recipes.items():
            recipe = entry()
            assert recipe.name == entry.name == name
            assert recipe.description == entry.description
            assert recipe.domain == domain.name
            assert name in entry.family.entries


def test_every_recipe_round_trips(tmp_path: Path) -> None:
    for recipe in _everything():
        recipes.save_json(recipe, tmp_path / "recipe.json")
        assert recipes.load_json(tmp_path / "recipe.json") == recipe


@pytest.mark.parametrize(
    "perturbation",
    [
        Linf(8 / 255, clip=(0, 1)),
        L2(0.5),
        L1((0.1, 0.2)),
        Linf(((0.0, 1e-17), (3.0, 4.0))),
        Box(0.0, 1.0),
    ],
)
def test_perturbations_round_trip(perturbation: Perturbation) -> None:
    text = serialization.to_json(perturbation)
    assert serialization.from_json(text, Perturbation) == perturbation


@pytest.fixture
def text(toy: Path) -> str:
    module = importlib.import_module("toydomain")
    return serialization.to_json(replace(module.RECIPES["count"](), seed=7))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seed"', '"sed"', r"extra fields found \(sed\)"),
        ('"seed": 7', '"seed": "x"', r"expected int @ \$.seed"),
        ('"eps": 0.1', '"eps": -1', "eps is -1"),
        (
            "robustsuite.perturbations.lp:Linf",
            "robustsuite.perturbations.lp:L3",
            "there is no 'robustsuite.perturbations.lp:L3'",
        ),
        ("robustsuite.perturbations.lp:Linf", "os:system", "'os:system' is not of this suite"),
        (
            "robustsuite.perturbations.lp:Linf",
            "robustsuite.runs.files:os.system",
            "is not a class or function defined",
        ),
        ("toydomain:Count", "robustsuite.perturbations.lp:L2", "stands where a Recipe is expected"),
        ("{", "[", "not JSON"),
    ],
)
def test_wrong_json_is_one_line(toy: Path, text: str, old: str, new: str, message: str) -> None:
    (toy / "recipe.json").write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidInput, match=message) as error:
        recipes.load_json(toy / "recipe.json")
    assert "\n" not in str(error.value)
    assert "recipe.json" in str(error.value)


def test_functions_of_other_packages_do_not_load() -> None:
    for name in (
        "os:system",
        "builtins:eval",
        "robustsuite.runs.files:os.remove",
        "robustsuite.runs.files:write_text.__globals__",
    ):
        with pytest.raises(InvalidInput):
            serialization.from_json(f'{{"function": "{name}"}}', object)
    assert serialization.from_json('{"function": "robustsuite.perturbations.norms:dual"}', object)(
        1
    ) == float("inf")
    with pytest.raises(InvalidInput, match="expected dataclasses, functions, numbers"):
        serialization.to_json(object())


def test_unknown_recipes_name_the_nearest(toy: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown recipe 'cout'; did you mean 'count'"):
        recipes.discover().find("cout")


def test_a_domain_that_does_not_load_is_one_line(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, absent="robustsuite.absent", toy="toydomain", needy="needy", broken="broken")
    plugins = toy.parent / "plugins"
    (plugins / "needy.py").write_text("import surely_not_installed")
    (plugins / "broken.py").write_text("1 / 0")
    found = recipes.discover()
    assert set(found.domains) == {"toy"}
    assert found.failures["absent"].endswith("run 'pip install -e .' in the checkout")
    assert "needs the package 'surely_not_installed'" in found.failures["needy"]
    assert "does not load: ZeroDivisionError: division by zero" in found.failures["broken"]


def test_what_a_recipe_lacks_is_named_when_it_is_made() -> None:
    family = Family("needy")

    @family.recipe("needy", "Needs what is not there.", minutes=1)
    def needy() -> Recipe:
        importlib.import_module("surely_not_installed")
        raise AssertionError

    with pytest.raises(
        InvalidInput, match="recipe 'needy' needs the package 'surely_not_installed': run 'pip"
    ):
        needy()


def test_a_name_stands_once(toy: Path) -> None:
    entry = importlib.import_module("toydomain").RECIPES["count"]
    with pytest.raises(InvalidInput, match="'count' stands twice in family 'toys'"):
        entry.family.recipe("count", "Again.", minutes=1)(entry.make)
    other = Family("others")
    other.recipe("count", "Again.", minutes=1)(entry.make)
    with pytest.raises(InvalidInput, match="'count' stands in the families 'toys' and 'others'"):
        catalogue(entry.family, other)
    with pytest.raises(InvalidInput, match="minutes of recipe 'free' is 0; expected a number > 0"):
        other.recipe("free", "Costs nothing.", minutes=0)(entry.make)


def test_a_domain_of_ready_made_recipes_is_told_how_to_name_them(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy.parent / "plugins" / "eager.py").write_text(
        "from toydomain import Count\nRECIPES = {'count': Count()}\nDEMO = ()\n"
    )
    install(monkeypatch, eager="eager")
    assert "expected an Entry: make them with Family" in recipes.discover().failures["eager"]
