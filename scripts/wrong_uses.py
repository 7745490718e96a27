"""Use the suite wrongly in every way that the tables below name, and check how it answers.

    python scripts/wrong_uses.py
    python scripts/wrong_uses.py --only envs --show

Each command line must end with exit status 2 and one line ("error: ...") that names a way out; tyro's own boxes about an
option may have several lines. Each call from Python (`wrong_calls.py`) must raise an error of the suite with such a line.
Nothing may be written but below the folder of runs. The exit code is 1 where one of them is not answered so.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from robustsuite import recipes
from robustsuite.commands.cli import main as command
from robustsuite.errors import RobustsuiteError
from robustsuite.evaluation import ACCURACY
from robustsuite.runs import records
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run

_DEEP = "[" * 100_000
_LONG = "x" * 300
_WAY_OUT = re.compile(
    r"expected|choose|pass |take |use |see |did you mean|shows? all|makes one|writes one|start |put |wrap|as in:|install|move |remove|"
    r"scale |load |measure|train first|check the path|keep |lower |the module has|traced with|are for|is this a|divide"
)

_NAMES = [
    "''",
    ".",
    "..",
    "../x",
    "a/b",
    "a/../../../escaped",
    "{away}",
    "'a\\b'",
    "C:x",
    "NUL",
    "a.",
    "' a'",
    ".a",
    _LONG,
]
_VISION = {
    "": [
        "--seed -1",
        "--seed 1.5",
        "--seed x",
        "--device nonsense",
        "--device meta",
        "--device cuda:99",
        "--resume",
    ],
    "--measured": ["0", "-5", "all"],
    "--data": ["nothing", "{empty}", "{broken}", "''"],
    "--out": ["{file}/below"],
    "--architecture.channels": ["0", "-1", "''", "8 8 8 8 8 8 8 8 8"],
    "--architecture.": ["repeats -1", "hidden 0", "deviation 0", "deviation nan", "mean inf"],
    "--training.": [
        *("epochs 0", "epochs -1", "epochs 1.5", "batch-size 0", "log-steps 0", "validate-epochs 0"),
        *("checkpoint-steps 0", "checkpoint-seconds -1", "checkpoint-seconds nan", "keep-best-from -1"),
        *(
            "rate-schedule.at 5 3",
            "rate-schedule.at -1",
            "rate-schedule.factor 0",
            "rate-schedule.factor nan",
        ),
    ],
    "--update.": [
        *(
            "gradient-norm 0",
            "gradient-norm nan",
            "optimizer.rate -1",
            "optimizer.rate 0",
            "optimizer.rate nan",
        ),
        *("optimizer.rate inf", "optimizer.betas 1 2", "optimizer.betas -1 .9", "optimizer.weight-decay -1"),
        *("accumulate 0", "accumulate 1.5"),
    ],
    "--update.objective.": [
        *("kappa.start -1", "kappa.end 2", "kappa.end nan", "beta.start 2", "beta.end -1"),
        *("radius.begin -1", "radius.length 0", "radius.middle 1", "radius.middle nan"),
        *(
            "perturbation.clip 1 0",
            "perturbation.clip 0 0",
            "perturbation.clip nan 1",
            "perturbation.clip 0 inf",
        ),
    ],
    "--update.objective.perturbation.eps": [
        *(
            "-1",
            "nan",
            "NaN",
            "true",
            "null",
            "'\"0.1\"'",
            "[]",
            "[[1],[1,2]]",
            "{{}}",
            f"{_DEEP}",
            "[0.1,0.2]",
        ),
    ],
    "--perturbations.0.eps": ["-1", "[0.1,0.2]"],
    "--evaluation.": [
        "batch-size 0",
        "attack.steps 0",
        "attack.restarts 0",
        "attack.step-size 0",
        "attack.step-size nan",
    ],
}
_ENVS = {
    "--env": ["Nope-v0", "Pendulum-v1", "FrozenLake-v1", "''"],
    "": ["--eps -1", "--eps 0", "--episodes 0", "--seed -1", "--device meta"],
    "--learning.": [
        *(
            "timesteps 0",
            "environments 0",
            "hidden 0",
            "learning-rate -1",
            "learning-rate nan",
            "decay -1",
            "batch-size 0",
        ),
        *(
            "buffer-size 0",
            "learning-starts -1",
            "gamma 2",
            "gamma 0",
            "collect 7",
            "updates 0",
            "target-every 0",
            "tau 0",
        ),
        *("tau 2", "exploration-fraction 0", "exploration-fraction 2", "exploration-final -1"),
    ],
    "--robustness.": [
        *(
            "kappa -1",
            "kappa nan",
            "c -1",
            "ramp.begin -1",
            "ramp.length 0",
            "ramp.begin nan",
            "regularizer.beta-start 2",
        ),
        *("perturbation.unit [0.1,0.1]", "perturbation.unit -1", "perturbation.unit nan"),
        *("perturbation.ball.eps [0.1,0.1]", "perturbation.ball.eps -1", "perturbation.ball.clip 1 0"),
    ],
    "--validation.": [
        "every 0",
        "episodes 0",
        "patience 0",
        "start 2",
        "eps -1",
        "eps nan",
        "attack-from 2",
        "enough nan",
    ],
}
_NLP = {
    "": [
        "--dim 0",
        "--length 0",
        "--least-count 0",
        "--measured 0",
        "--radii -0.1",
        "--radii nan",
        "--data nothing",
    ],
    "--pooling.hidden": ["0", "-1"],
    "--update.objective.objective.": ["perturbation.eps -1", "perturbation.eps nan", "kappa.end 2"],
}


def commands() -> Iterator[str]:
    """Give the wrong command lines, with {names} of places that `_prepare` makes."""
    yield from (
        "trian",
        "train",
        "train nothing",
        "trian digits-standard",
        "lsit",
        "train digits-standard --training.epoks 3",
        "train digits-standard --sede 3",
        "train digit-standard",
        "train digits-standard more",
        "train digits-standard --epoch",
    )
    yield from (f"train digits-standard --name {name}" for name in _NAMES)
    for recipe, options in (
        ("digits-certified", _VISION),
        ("cartpole-sadqn", _ENVS),
        ("reviews-mean-certified", _NLP),
    ):
        for prefix, values in options.items():
            joint = "" if not prefix or prefix.endswith(".") else " "
            yield from (f"train {recipe} {prefix}{joint}{value}" for value in values)
    yield from ("train digits-standard --name linked --out {links}", "train digits-standard --out {full}")
    yield from (
        f"evaluate {what}"
        for what in (
            "",
            "nothing",
            "{file}",
            "{empty}",
            "{cut}",
            "{deep}",
            "{binary}",
            "{stranger}",
            "{untrained}",
        )
    )
    yield from ("evaluate {whole} --device meta", "evaluate {whole} {whole}")
    yield from (
        f"report {what}"
        for what in ("", "nothing", "{file}", "{empty}", "{cut}", "{deep}", "{binary}", "{torn}")
    )
    yield from ("report {whole} --out {empty}", "report {whole} --out {file}/below.html")
    yield from (
        f"demo {what}"
        for what in ("--jobs 0", "--jobs -3", "--jobs x", "--seed -1", "--device meta", "--out {file}/below")
    )
    yield from (
        f"bench {what}"
        for what in ("--batches 0", "--batches -1", "--batches", "--repeats 0", "--seed -1", "--device meta")
    )
    yield from ("list more", "bench --batches x", "bench more")
    yield from (
        f"certify {what}"
        for what in ("", "nothing.onnx nothing.vnnlib", "a b c", "nothing.csv", "{file} {file}")
    )
    yield from (
        f"certify a.onnx b.vnnlib {what}"
        for what in ("--timeout 0", "--timeout -1", "--timeout nan", "--device meta", "--resume")
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """A wrong use that was not answered as it should be."""

    use: str
    why: str


def _prepare(root: Path) -> dict[str, Path]:
    """Make the files and folders that the command lines speak of."""
    places = {
        name: root / "given" / name
        for name in ("empty", "broken", "links", "cut", "deep", "binary", "stranger")
    }
    places |= {name: root / "given" / name for name in ("whole", "torn", "untrained", "full")}
    for place in places.values():
        place.mkdir(parents=True)
    places |= {"file": root / "given" / "file", "away": root / "away"}
    places["file"].write_text("not a folder")
    (places["broken"] / "train.parquet").write_bytes(b"PAR1 no more")
    (places["links"] / "linked").symlink_to(root / "given" / "empty")
    recipe = recipes.discover().find("digits-standard")
    row = Record(
        domain="vision", subject="net", data="digits", perturbation="none", method="none", metric=ACCURACY,
        value=0.9, low=0.8, high=1.0, n=10, seed=0,
    )  # fmt: skip
    for name in ("cut", "deep", "binary", "stranger", "whole", "torn", "untrained"):
        run = Run.create(places[name], recipe)
        records.write([row], run.records)
    text = (places["whole"] / "recipe.json").read_text()
    (places["cut"] / "recipe.json").write_text(text[:-30])
    (places["deep"] / "recipe.json").write_text(_DEEP)
    (places["binary"] / "recipe.json").write_bytes(b"\xff\xfe\x00\x01")
    (places["stranger"] / "recipe.json").write_text(
        text.replace("robustsuite.vision.classification:Classification", "os:system")
    )
    (places["torn"] / "records.parquet").write_bytes((places["torn"] / "records.parquet").read_bytes()[:-20])
    Run.create(places["full"] / "digits-standard", recipe)
    return places


def _tree(root: Path) -> dict[Path, tuple[int, int]]:
    """Give size and time of all that lies around the folder `root`, but for the folder of runs in it."""
    runs = root / "work" / "runs"
    found = {path: path.lstat() for path in root.parents[1].rglob("*") if runs not in (path, *path.parents)}
    return {
        path: (what.st_size, what.st_mtime_ns) if stat.S_ISREG(what.st_mode) else (0, 0)
        for path, what in found.items()
    }


def _complaint(message: str) -> str | None:
    """Say what is wrong with a message, or None."""
    if len(message.splitlines()) != 1:
        return f"{len(message.splitlines())} lines: {message[:300]!r}"
    if not _WAY_OUT.search(message):
        return f"no way out: {message!r}"
    if re.search(r"Traceback|TypeCheckError", message):
        return f"raw: {message!r}"
    return None


def try_command(line: str) -> tuple[str | None, str]:
    """Run a command line; say what is wrong with the answer (or None), and give the answer."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        boxed = False
        try:
            status: object = command(shlex.split(line))
        except SystemExit as leaving:  # tyro's complaints about options
            status, boxed = leaving.code, True
        except BaseException as error:  # noqa: BLE001  whatever comes is an answer
            return f"raised {type(error).__name__}: {error}", ""
    answer = err.getvalue()
    if status != 2:
        return f"exit status {status}", answer
    if boxed:
        return ("raw" if "Traceback" in answer else None), answer
    # Progress may stand above the error.
    last = answer.splitlines()[-1] if answer else ""
    if not last.startswith("error: ") or "Traceback" in answer or answer.count("error: ") != 1:
        return "not one line that begins with 'error: '", answer
    return _complaint(last), answer


def try_call(call: Callable[[], object]) -> tuple[str | None, str]:
    """Make a wrong call from Python; say what is wrong with the answer (or None), and give the answer."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call()
    except RobustsuiteError as error:
        return _complaint(str(error)), str(error)
    except BaseException as error:  # noqa: BLE001  whatever comes is an answer
        return f"raised {type(error).__name__}: {str(error)[:300]}", ""
    return f"accepted, gave {str(found)[:100]}", ""


def run(only: str, *, show: bool) -> tuple[int, list[Failure]]:
    """Try every use whose text contains `only`; give their number, and those that are answered wrongly."""
    import wrong_calls

    failures, count = list[Failure](), 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "some" / "where"
        (root / "work").mkdir(parents=True)
        before, here = os.getcwd(), _prepare(root)
        os.chdir(root / "work")
        os.environ["ROBUSTSUITE_DATA"] = str(root / "given" / "empty")
        tries: list[tuple[str, Callable[[], tuple[str | None, str]]]] = [
            (f"robustsuite {line}", lambda line=line: try_command(line.format(**here)))  # type: ignore[misc]
            for line in commands()
        ]
        tries += [(name, lambda call=call: try_call(call)) for name, call in wrong_calls.calls(root / "work")]  # type: ignore[misc]
        try:
            for name, attempt in tries:
                shown = name if len(name) < 120 else f"{name[:120]}..."
                if only not in name:
                    continue
                count += 1
                tree = _tree(root)
                why, answer = attempt()
                after = _tree(root)
                changed = {path for path in tree.keys() | after.keys() if tree.get(path) != after.get(path)}
                if changed:
                    why = f"{why or 'answered well'}, but wrote {sorted(map(str, changed))[:3]}"
                if why is not None:
                    failures.append(Failure(shown, why))
                if show:
                    print(f"{shown}\n    {answer.strip()[:400]}")
        finally:
            os.chdir(before)
    return count, failures


def main() -> int:
    """Try all, print a summary, and give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="uses whose text contains this")
    parser.add_argument("--show", action="store_true", help="print every answer")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count, failures = run(options.only, show=options.show)
    for failure in failures:
        print(f"{failure.use}: {failure.why}")
    print(
        f"{count - len(failures)} of {count} wrong uses end in one line with a way out, and write nothing elsewhere"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
