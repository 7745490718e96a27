"""A plug-in domain, made on the fly: the command line must find it as it finds the suite's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

_TOY = '''
"""A domain whose model is one number that grows by one per step."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from robustsuite import Linf
from robustsuite.runs import checkpoints
from robustsuite.errors import InvalidInput
from robustsuite.report.figures import Figure, Panel
from robustsuite.recipes import Family, Recipe, catalogue
from robustsuite.evaluation import ACCURACY, CERTIFIED_ACCURACY, ROBUST_ACCURACY
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
from robustsuite.sources import Included


@dataclass(frozen=True, kw_only=True)
class Count(Recipe):
    """Count up.

    Args:
        steps: of counting, >= 1.
        perturbation: the threat model.
        other: another one, of no use.
        certified: the certified accuracy that is reported.
        interrupt_at: step at which Ctrl-C comes, once.
    """

    domain: ClassVar[str] = "toy"
    steps: int = 3
    perturbation: Linf = Linf(0.1, clip=(0, 1))
    other: Linf = Linf(0.2)
    certified: float = 0.5
    interrupt_at: int | None = None

    def train(self, run: Run) -> None:
        if self.steps < 1:
            raise InvalidInput(f"steps is {self.steps}; expected >= 1")
        file = run.checkpoints / "last.safetensors"
        first = checkpoints.load(file).state["step"] if run.resume and file.exists() else 0
        with run.progress("counting", self.steps) as progress:
            progress.to(first)
            for step in range(first + 1, self.steps + 1):
                checkpoints.save(file, tensors={"count": torch.tensor(float(step))}, state={"step": step})
                run.log(step, **{"train/count": step})
                progress.advance()
                if step == self.interrupt_at and not run.resume:
                    os.kill(os.getpid(), signal.SIGINT)

    def evaluate(self, run: Run) -> list[Record]:
        count = checkpoints.load(run.checkpoints / "last.safetensors").tensors["count"]
        print("a library that talks")
        row = dict(domain="toy", subject="counter", data=f"{count:.0f} steps", n=10, seed=self.seed, recipe=self.name)
        eps = dict(perturbation=self.perturbation.describe(), norm=self.perturbation.norm, radius=self.perturbation.radius)
        return [
            Record(**row, perturbation="none", method="none", metric=ACCURACY, value=0.9, low=0.6, high=1.0),
            Record(**row, **eps, method="PGD", metric=ROBUST_ACCURACY, value=0.7, low=0.4, high=0.9),
            Record(
                **row, **eps, method="IBP", metric=CERTIFIED_ACCURACY,
                value=self.certified, low=0.0, high=1.0,
            ),
        ]


TOYS = Family("toys", data=(Included("numbers", "made"),))


@TOYS.recipe("count", "Count to three.", minutes=0.1)
def count() -> Count:
    return Count()


@TOYS.recipe("count-far", "Count to nine.", minutes=0.2)
def count_far() -> Count:
    return replace(count(), steps=9)


@TOYS.recipe("count-down", "Count to one.", minutes=0.1, command="countdown")
def count_down() -> Count:
    return replace(count(), steps=1)


def greet(*, name: str = "you") -> int:
    """Say hello.

    Example: robustsuite greet --name Ada

    Args:
        name: of whom.
    """
    print(f"hello {name}")
    return 0


def countdown(recipe: str, /) -> int:
    """Count down.

    Example: robustsuite countdown count-down

    Args:
        recipe: its name.
    """
    return 0


def draw(records: Sequence[Record]) -> list[Figure]:
    panel = Panel(title="the toy's own drawing", svg="<svg></svg>")
    return [Figure(title="toys", domain="toy", horizontal="steps", kinds=(), panels=(panel,))]


RECIPES = catalogue(TOYS)
COMMANDS = {"greet": greet, "countdown": countdown}
FIGURES = (draw,)
DEMO = ("count", "count-far")
'''


def install(monkeypatch: pytest.MonkeyPatch, **domains: str) -> None:
    """Make these domains (module by name) the only ones; other groups of entry points stay as they are."""
    original = metadata.entry_points
    points = [
        metadata.EntryPoint(name=name, value=module, group="robustsuite.domains")
        for name, module in domains.items()
    ]

    def entry_points(**selection: Any) -> Any:
        return points if selection.get("group") == "robustsuite.domains" else original(**selection)

    monkeypatch.setattr(metadata, "entry_points", entry_points)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the domain "toy" as the only one, and work in an empty folder, which is given."""
    place = tmp_path / "plugins"
    place.mkdir()
    (place / "toydomain.py").write_text(_TOY)
    monkeypatch.syspath_prepend(str(place))
    install(monkeypatch, toy="toydomain")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    sys.modules.pop("toydomain", None)
