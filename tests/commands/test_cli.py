"""The command line: every command works, every wrong call is one line, and Ctrl-C says how to go on."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from markupsafe import escape

from robustsuite import recipes
from robustsuite.commands import options
from robustsuite.commands.cli import main
from robustsuite.runs import records


def run(line: str) -> int:
    """Run ``robustsuite LINE`` in this process."""
    try:
        return main(shlex.split(line))
    except SystemExit as leaving:  # tyro's help and complaints about options
        return int(leaving.code or 0)


@pytest.mark.parametrize(
    "command",
    ["demo", "list", "train", "train count", "evaluate", "certify", "report", "bench", "greet", "countdown"],
)
def test_every_command_has_help_with_an_example(
    toy: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run(f"{command} --help") == 0
    assert f"Example: robustsuite {command}" in capsys.readouterr().out


def test_train_writes_a_complete_run(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train count --steps 5 --seed 2 --perturbation.eps 0.2 --name mine") == 0
    written = capsys.readouterr()
    assert "5 steps" in written.out
    assert "report: runs/mine/report.html" in written.err
    folder = toy / "runs" / "mine"
    assert {file.name for file in folder.iterdir()} == {
        *("recipe.json", "records.parquet", "metrics", "checkpoints", "report.html")
    }
    found = records.read(folder / "records.parquet")
    assert {record.seed for record in found} == {2}
    assert {record.perturbation for record in found} == {"none", "Linf(0.2)"}


def test_short_names_of_options_will_do_where_they_are_unique(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train count --perturbation.eps=0.25 --name long") == 0
    assert run("train count --interrupt_at 9 --name short") == 0
    capsys.readouterr()
    assert run("train count --eps 0.3 --name wrong") == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error == "error: option '--eps' may be --perturbation.eps or --other.eps; give one of these names"
    assert run("train count --clip None --name wrong") == 2
    assert not (toy / "runs" / "wrong").exists()


def test_the_help_says_what_short_names_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train cifar10-certified --help") == 0
    shown = capsys.readouterr().out
    known = options.names(recipes.discover().find("cifar10-certified")())
    short = options.short_names(known)
    assert short["--epochs"] == "--training.epochs"
    assert short["--start"] == "--update.objective.kappa.start"
    assert "of update.objective.kappa: --start --end" in shown
    for end, full in short.items():
        assert options.lengthened([end, "1"], known, prog="train") == [full, "1"]


@pytest.mark.parametrize("name", ["digits-certified", "reviews-lstm-certified", "cartpole-sadqn"])
def test_every_long_name_of_the_help_has_short_ones(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run(f"train {name} --help") == 0
    shown = set(re.findall(r"(--[\w-]+\.[\w.-]*\w)(?![\w.-]| \{fixed)", capsys.readouterr().out))
    assert shown
    assert shown <= set(options.names(recipes.discover().find(name)()))


def test_a_domain_brings_commands_and_figures(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("greet --name Ada") == 0
    assert capsys.readouterr().out == "hello Ada\n"
    assert run("--help") == 0
    assert "greet" in capsys.readouterr().out
    assert run("countdown count-down --seed 3") == 0
    page = (toy / "runs" / "count-down" / "report.html").read_text()
    assert "the toy&#39;s own drawing" in page
    assert "horizontal: steps" in page
    capsys.readouterr()
    assert run("train count-down") == 2
    assert "start it with: robustsuite countdown count-down" in capsys.readouterr().err
    assert run("list") == 0
    assert "countdown: Count to one." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ZeroDivisionError('<b>nothing</b> to draw')", "ZeroDivisionError: <b>nothing</b> to draw"),
        ("return [3]", "InvalidInput: a figure is 3; expected a report.figures.Figure"),
        ("return None", "TypeError: 'NoneType' object is not iterable"),
        ("yield 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_domain_that_cannot_draw_leaves_the_rest(
    toy: Path, capsys: pytest.CaptureFixture[str], body: str, reason: str
) -> None:
    module = toy.parent / "plugins" / "toydomain.py"
    module.write_text(
        f"{module.read_text()}\n\ndef broken(records):\n    {body}\n\n\nFIGURES = (broken, draw)\n"
    )
    assert run("train count") == 0
    line = f"figures 'broken' of the domain 'toy' are left out: {reason}"
    [warning] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert warning.startswith(f"warning: {line}")
    page = (toy / "runs" / "count" / "report.html").read_text()
    assert str(escape(line)) in page
    assert "the toy&#39;s own drawing" in page
    assert "3 steps" in page


def test_options_may_stand_before_the_recipe(toy: Path) -> None:
    assert run("train --seed 4 --out there count") == 0
    assert records.read(toy / "there" / "count" / "records.parquet")[0].seed == 4


def test_evaluate_gives_the_same_records(toy: Path) -> None:
    assert run("train count") == 0
    file = toy / "runs" / "count" / "records.parquet"
    before = records.read(file)
    file.unlink()
    assert run("evaluate runs/count") == 0
    assert records.read(file) == before


def test_ctrl_c_tells_how_to_resume(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train count --interrupt-at 2 --name mine") == 130
    lines = capsys.readouterr().err.splitlines()
    assert "robustsuite train count --name mine" in lines[-1]
    assert "--resume" in lines[-1]
    assert run("train count --interrupt-at 2 --name mine --resume") == 0
    assert (toy / "runs" / "mine" / "report.html").exists()


def test_list_shows_recipes(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy, toys  numbers: made"
    assert lines[1] == "* count       0.1 min  Count to three."
    assert lines[2].startswith("* count-far")


def test_the_list_of_the_suite_is_narrow_and_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from robustsuite.commands.cli import main; main(['list']); print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    *lines, loaded = ran.stdout.splitlines()
    assert loaded == "False"
    assert any(line.split()[1] == "digits-standard" for line in lines if line.startswith("*"))
    assert all(len(line) <= 100 for line in lines)


def test_report_joins_runs(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train count") == 0
    assert run("train count-far") == 0
    assert run("report runs --out both.html") == 0
    page = (toy / "both.html").read_text()
    assert page.count("<details") == 2
    assert "9 steps" in page
    assert run("report runs/count runs/count-far --out again.html") == 0


def test_a_certificate_above_an_attack_is_an_error(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train count --certified 0.8") == 1
    lines = capsys.readouterr().err.splitlines()
    [error] = [line for line in lines if line.startswith("error:")]
    assert "certified (IBP) 0.8000 is above attacked (PGD) 0.7000" in error
    assert "cannot be true" in (toy / "runs" / "count" / "report.html").read_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian count", "unknown command 'trian'; did you mean 'train'? 'robustsuite --help' shows all"),
        ("gret --name Ada", "unknown command 'gret'; did you mean 'greet'"),
        ("xyz", "unknown command 'xyz'; 'robustsuite --help' shows all"),
        ("train count --setps 3", "unknown option '--setps'; did you mean --steps"),
        ("train count --perturbation.esp 3", "did you mean --perturbation.eps"),
        ("train count --interupt_at 9", "did you mean --interrupt-at"),
        (
            "countdown count-down --seeed=3",
            "did you mean --seed? 'robustsuite countdown count-down --help' shows",
        ),
        ("train count --zzz", "unknown option '--zzz'; 'robustsuite train count --help' shows all options"),
        ("train nothing", "unknown recipe 'nothing'"),
        ("train count --steps 0", "steps is 0; expected >= 1"),
        ("train count --device cuda:77", "device 'cuda:77' cannot be used here"),
        ("train count --device nonsense", "device 'nonsense' cannot be used here"),
        ("train count --out file/below", "cannot write"),
        ("train count --resume", "no run at 'runs/count' to resume"),
        ("evaluate runs/nothing", "no run at 'runs/nothing'"),
        ("report", "no run given"),
        ("report runs", "no run at 'runs'"),
        ("bench --batches 0", "batches is 0; expected an integer in [1, 1000000]"),
        ("bench --batches 99999999999999999999", "batches is 99999999999999999999; expected an integer in"),
        (f"bench --seed {2**63}", f"seed is {2**63}; expected an integer in"),
        (f"train count --seed {10**40}", f"seed is {10**40}; expected an integer in"),
        (f"demo --seed {10**40}", f"seed is {10**40}; expected an integer in"),
        (f"certify a b --seed {10**40}", f"seed is {10**40}; expected an integer in"),
        (f"train count --out {'x' * 300}", "File name too long"),
        (f"evaluate {'x' * 300}", "File name too long"),
        (f"report {'x' * 300}", "File name too long"),
        ("bench --repeats 0", "repeats is 0; expected an integer >= 1"),
        ("bench --device meta", "device 'meta' cannot be used here"),
        ("train count --device meta", "device 'meta' cannot be used here"),
        ("train count --seed -1", "seed is -1; expected an integer in [0, "),
        ("demo --jobs -3", "jobs is -3; expected an integer >= 1"),
        ("demo --jobs 0", "jobs is 0; expected an integer >= 1"),
        ("demo --seed -1", "seed is -1"),
    ],
)
def test_wrong_calls_are_one_line(
    toy: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    (toy / "file").write_text("")
    assert run(line) == 2
    written = capsys.readouterr()
    assert written.out == ""
    [error] = written.err.splitlines()
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a/../../../escaped",
        "{away}",
        "a\\b",
        "C:x",
        "a\0b",
        "CON",
        "nul.txt",
        "a.",
        " a",
        ".a",
        "a\n",
    ]
    + ["x" * 300],
)
def test_a_run_s_name_leads_nowhere_else(toy: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    away = toy.parent / "away"
    before = sorted(toy.parent.rglob("*"))
    assert main(["train", "count", "--name", name.format(away=away)]) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert "expected one plain folder name" in error
    assert sorted(toy.parent.rglob("*")) == before


def test_what_cannot_be_trained_leaves_no_run(toy: Path) -> None:
    assert run("train count --steps 0") == 2
    assert not (toy / "runs" / "count").exists()
    assert run("train count") == 0


@pytest.mark.parametrize("link", ["runs/mine", "runs/mine/checkpoints", "runs/mine/metrics"])
def test_a_run_does_not_follow_links(toy: Path, capsys: pytest.CaptureFixture[str], link: str) -> None:
    away = toy.parent / "away"
    away.mkdir()
    (toy / link).parent.mkdir(parents=True)
    (toy / link).symlink_to(away)
    assert run("train count --name mine") == 2
    [error] = capsys.readouterr().err.splitlines()
    assert f"'{link}' is a link to '{away}'" in error
    assert not list(away.iterdir())


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[" * 100_000, "\udcff"], ids=["empty", "cut", "list", "deep", "bytes"]
)
def test_a_damaged_recipe_is_named(toy: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    assert run("train count") == 0
    (toy / "runs" / "count" / "recipe.json").write_bytes(content.encode(errors="surrogateescape"))
    for line in ("report runs/count", "evaluate runs/count", "train count --resume"):
        capsys.readouterr()
        assert run(line) == 2
        [error] = capsys.readouterr().err.splitlines()
        assert "recipe" in error
        assert "runs/count/recipe.json" in error


@pytest.mark.parametrize(
    "line",
    [
        "train count --perturbation.eps true",
        f"train count --perturbation.eps {'[' * 100_000}",
        "train count --perturbation.eps wide",
    ],
)
def test_wrong_options_are_explained(toy: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert run(line) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_damage_is_one_line(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train count") == 0
    for name in ("checkpoints/last.safetensors", "recipe.json", "records.parquet"):
        file = toy / "runs" / "count" / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-20])
        capsys.readouterr()
        assert run("report runs/count" if "records" in name else "evaluate runs/count") == 2
        [error] = capsys.readouterr().err.splitlines()[-1:]
        assert Path(name).name in error
        file.write_bytes(whole)


def test_debug_shows_the_traceback(toy: Path) -> None:
    with pytest.raises(ValueError, match="unknown recipe"):
        main(["train", "nothing", "--debug"])


def test_demo_runs_all_and_keeps_the_screen_readable(toy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("demo --jobs 2") == 0
    written = capfd.readouterr()
    assert "9 steps" in written.out
    assert "a library that talks" not in written.out + written.err
    assert "a library that talks" in (toy / "runs" / "demo" / "count" / "output.log").read_text()
    assert "2 of 2 runs" in written.err
    assert (toy / "runs" / "demo" / "report.html").exists()
    assert run("demo --resume") == 0


def test_demo_with_a_broken_domain_says_so_in_one_line(toy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module = toy.parent / "plugins" / "toydomain.py"
    module.write_text(module.read_text().replace("steps=9)", "steps=0)"))
    assert run("demo") == 1
    written = capfd.readouterr()
    errors = [line for line in written.err.splitlines() if line.startswith("error:")]
    assert errors == ["error: run 'count-far': steps is 0; expected >= 1"]
    assert "3 steps" in written.out
    assert "1 of 2 runs" in written.err
