"""Measuring agents that are there: by the command line, into a folder of its own, under attacks by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from robustsuite.commands.cli import main
from robustsuite.envs.attacks.names import named
from robustsuite.envs.evaluation.matrix import matrices
from robustsuite.envs.policies import agent as agents
from robustsuite.envs.recipes.measured_agent import MeasuredAgent, evaluation_of
from robustsuite.errors import InvalidInput
from robustsuite.runs import records

from .cases import controller, gaussian, q_agent


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "controller.safetensors"
    agents.save(controller(), path)
    return path


def test_writes_records_and_every_episode(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = saved.parent / "measured"
    given = ["evaluate", str(saved), "--attacks", "none,random", "--eps", "0.3", "0.1", "--episodes", "2"]
    assert main([*given, "--seed", "1000", "--out", str(out)]) == 0
    found = records.read(out / "records.parquet")
    natural = [r for r in found if r.metric.name == "return" and r.method == "none"]
    assert [(r.value, r.n, r.data) for r in natural] == [(500.0, 2, "CartPole-v1")]
    assert {r.radius for r in found} == {None, 0.1, 0.3}
    table = pd.read_parquet(out / "episodes.parquet")
    assert set(table["reset_seed"]) == {1000, 1001}
    assert sorted(set(table["attack"])) == ["none", "random noise"]
    assert len(table) == 2 * 3
    assert "controller" in capsys.readouterr().out
    # Again: the folder is replaced, and the measurement's own recipe measures it once more.
    assert main([*given, "--seed", "1000", "--out", str(out)]) == 0
    assert main(["evaluate", str(out)]) == 0
    again = records.read(out / "records.parquet")
    assert [(r.key, r.value) for r in again] == [(r.key, r.value) for r in found]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attacks", "nope", "--eps", "0.1"], "attack is 'nope'; expected some of none, all, random"),
        (["--attacks", "random"], "has no radius of its own; give some: --eps 0.1"),
        (["--env", "Nope-v0", "--eps", "0.1"], "environment 'Nope-v0' cannot be made"),
        (["--episodes", "0"], "episodes is 0"),
    ],
)
def test_wrong_options_are_one_line(
    saved: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(saved), *options, "--out", str(saved.parent / "no")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (saved.parent / "no").exists()


def test_other_paths_are_no_agents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluation_of(tmp_path) is None
    assert main(["evaluate", str(tmp_path / "nothing"), "--episodes", "3"]) == 2
    assert "can be evaluated with options" in capsys.readouterr().err


def test_names_fit_the_policy() -> None:
    assert {adversary.name for adversary in named(("all",), controller().policy)} >= {
        "random noise",
        "PGD on Q",
        "toward action 1",
    }
    assert named(("none",), controller().policy) == ()
    with pytest.raises(InvalidInput, match="attack is 'pgd'"):
        named(("pgd",), gaussian())


def test_lists_may_have_commas() -> None:
    assert MeasuredAgent(agent="a", attacks=("none, random", "pgd")).attacks == ("none", "random", "pgd")


def test_a_matrix_measures_each_agent_once(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = saved.parent / "fresh.safetensors"
    agents.save(q_agent((4, 8, 2)), other)
    given = ["matrix", str(saved), str(other), "--attacks", "random,pgd", "--eps", "0.3", "--episodes", "2"]
    assert main([*given, "--out", str(saved.parent / "matrix")]) == 0
    shown = capsys.readouterr().out
    assert "controller" in shown
    assert "strongest attack per episode" in shown
    page = saved.parent / "matrix" / "report.html"
    assert "return of each agent under each attack" in page.read_text()
    kept = (saved.parent / "matrix" / "fresh" / "records.parquet").stat().st_mtime_ns
    assert main([*given, "--out", str(saved.parent / "matrix")]) == 0
    assert (saved.parent / "matrix" / "fresh" / "records.parquet").stat().st_mtime_ns == kept
    (found,) = matrices(records.read(saved.parent / "matrix" / "controller" / "records.parquet"))
    assert (found.agents, found.attacks[0]) == (("controller",), "none")
    assert found.worst["controller"] in ("random noise", "PGD on Q")
    values = [found.cells["controller", attack].value for attack in found.attacks]
    assert values[-1] <= values[-2] <= min(values[:-2])


def test_a_matrix_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", str(tmp_path), "--out", str(tmp_path / "matrix")]) == 2
    assert "no agent at" in capsys.readouterr().err
