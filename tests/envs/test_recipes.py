"""The recipes: what they promise, their JSON form, and that the best agent is kept."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from robustsuite import recipes, seeding
from robustsuite.envs import DEMO, RECIPES
from robustsuite.envs.attacks.switching_rule import SwitchingRule, SwitchingRuleSearch
from robustsuite.envs.environments import lockstep
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import agent as agents
from robustsuite.envs.recipes.q_agent import QAgent
from robustsuite.envs.training.robustness import Robustness
from robustsuite.envs.training.validation import Score, Validation, validate
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Linf
from robustsuite.runs.run import Run

from .cases import q_agent
from .test_resume import small


@pytest.mark.parametrize("name", RECIPES)
def test_json_round_trip(name: str, tmp_path: Path) -> None:
    assert RECIPES[name]().name == name
    recipes.save_json(RECIPES[name](), tmp_path / "recipe.json")
    assert recipes.load_json(tmp_path / "recipe.json") == RECIPES[name]()


def test_the_demo_measures_at_least_twenty_episodes() -> None:
    assert set(DEMO) <= set(RECIPES)
    for name in DEMO:
        recipe = RECIPES[name]()
        assert isinstance(recipe, QAgent)
        assert recipe.episodes >= 20
        assert len(recipe.eps) >= 3


@pytest.mark.parametrize("name", ["cartpole-dqn", "cartpole-sadqn-pgd"])
def test_trains_and_measures_and_repeats(name: str) -> None:
    recipe, values = small(name), []
    for _ in range(2):
        run = Run.scratch()
        recipe.train(run)
        values.append([(r.key, r.value, r.low, r.high) for r in recipe.evaluate(run)])
    assert values[0] == values[1]
    assert {key[1] for key, *_ in values[0]} == {recipe.subject}


def test_the_kept_agent_is_the_best_validated_one() -> None:
    recipe = small("cartpole-dqn")
    run = Run.scratch()
    recipe.train(run)
    agent = agents.load(run.checkpoints / "agent.safetensors")
    count, first = recipe.validation.episodes, seeding.derive(0, "validation")
    worse = replace(recipe, validation=replace(recipe.validation, start=1.0))  # the last one alone
    last_run = Run.scratch()
    worse.train(last_run)
    last = agents.load(last_run.checkpoints / "agent.safetensors")
    with closing(lockstep(agent.env, count)) as env:
        kept, unkept = (rollout(one, env, episodes=count, seed=first).returns.mean() for one in (agent, last))
    assert kept >= unkept


def test_validation_and_test_episodes_differ() -> None:
    starts = [seeding.derive(0, kind) for kind in ("validation", "test")]
    assert abs(starts[0] - starts[1]) > 1000


def test_scores_compare_returns_first_and_certified_actions_second() -> None:
    assert (
        Score(900.0, 0.1, 500.0, 400.0) < Score(1000.0, 0.0, 500.0, 500.0) < Score(1000.0, 0.2, 500.0, 500.0)
    )


def test_training_stops_when_good_enough() -> None:
    recipe = small("cartpole-dqn")
    easy = replace(recipe, validation=replace(recipe.validation, enough=1.0, patience=1))
    run = Run.scratch()
    easy.train(run)
    state = run.checkpoints / "state.safetensors"
    assert not state.exists() or state.stat().st_size > 0
    agent = agents.load(run.checkpoints / "agent.safetensors")
    assert all(weight.isfinite().all() for weight in agent.policy.network.parameters())


def test_wrong_validation_is_refused() -> None:
    with pytest.raises(InvalidInput, match="every is 0; expected an integer >= 1"):
        Validation(every=0)


def test_deviations_are_measured_where_none_are_known() -> None:
    found = []
    for name in ("dqn", "car-dqn"):
        recipe = small(name)
        recipe = replace(recipe, env="MountainCar-v0", learning=replace(recipe.learning, timesteps=500))
        run = Run.scratch()
        recipe.train(run)
        agent = agents.load(run.checkpoints / "agent.safetensors")
        assert agent.deviations is not None
        assert all(value > 0 for value in agent.deviations)
        found.append(agent.deviations)
        assert agent.eps == (None if name == "dqn" else 0.1)
    assert found[0] == found[1]


def test_a_perturbation_of_its_own_is_refused() -> None:
    with pytest.raises(InvalidInput, match="radius gives it"):
        replace(small("cartpole-dqn"), robustness=Robustness(perturbation=Linf(0.1)))


def test_validation_searches_adversaries_of_its_own(tmp_path: Path) -> None:
    torch.manual_seed(0)
    agent = q_agent((4, 8, 2))  # falls soon
    search = SwitchingRuleSearch(budget=4, generation=4, episodes=1, finalists=1, steps=2)
    plain = Validation(eps=0.6, episodes=2)
    searching = replace(plain, adversaries=(search, SwitchingRule(weights=((0.0, 1.0, 0.0, 0.0),), steps=2)))
    scores = [
        validate(agent, chosen, attacked=True, beat=-math.inf, seed=0, step=5)
        for chosen in (plain, searching, searching)
    ]
    assert scores[1] == scores[2]
    assert scores[1].attacked <= scores[0].attacked
    recipe = replace(small("cartpole-sadqn"), validation=searching)
    recipes.save_json(recipe, tmp_path / "recipe.json")
    assert recipes.load_json(tmp_path / "recipe.json") == recipe
