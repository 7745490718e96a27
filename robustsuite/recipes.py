"""Recipes: a whole run as one frozen dataclass, and how the command line finds recipes.

A domain is a module with two names, found by the entry point group "robustsuite.domains":

- ``RECIPES: dict[str, Recipe]``, by the name on the command line;
- ``DEMO: tuple[str, ...]``, the names of those that the demo runs.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from robustsuite import seeding
from robustsuite.arguments import check_fields, check_kind
from robustsuite.errors import InvalidInput
from robustsuite.runs import files, serialization
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A whole run: what is trained on what, how it is attacked and measured. Domains add their fields.

    Args:
        name: on the command line and of the run's folder.
        description: one line for `robustsuite list`.
        seed: of everything random in the run, in [0, 2**63 - 1].
        device: "cpu", "cuda", "cuda:1" ...

    Raises:
        InvalidInput: a value outside its range, here and in all recipes: before anything is written.
    """

    domain: ClassVar[str]

    name: Annotated[str, tyro.conf.Suppress]
    description: Annotated[str, tyro.conf.Suppress] = ""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_fields(self, "seed", integer=True, least=0, most=seeding.MAX_SEED)
        check_kind(self.device, str, "device", "a name such as 'cpu' or 'cuda:1'")

    @abstractmethod
    def train(self, run: Run) -> None:
        """Train and write checkpoints below ``run.checkpoints``; continue from them where ``run.resume``."""

    @abstractmethod
    def evaluate(self, run: Run) -> list[Record]:
        """Load what `train` saved, measure it, and give the records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What an installed domain offers.

    Args:
        name: of the domain.
        recipes: by name.
        demo: names of the recipes that the demo runs.
    """

    name: str
    recipes: Mapping[str, Recipe]
    demo: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The domains that loaded, and one line for each that did not.

    Args:
        domains: by name.
        failures: the reason in one line, by the domain's name.
    """

    domains: Mapping[str, Domain]
    failures: Mapping[str, str]

    def find(self, name: str) -> Recipe:
        """Give the recipe of this name.

        Raises:
            InvalidInput: no domain has it; the message names the nearest ones.
        """
        known = {key: recipe for domain in self.domains.values() for key, recipe in domain.recipes.items()}
        if name in known:
            return known[name]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(map(repr, near))}? " if near else ""
        absent = "".join(f"; {line}" for line in self.failures.values())
        raise InvalidInput(f"unknown recipe '{name}'; {hint}'robustsuite list' shows all{absent}")


def discover() -> Discovery:
    """Load every installed domain; one that does not load becomes one line, not an error."""
    domains: dict[str, Domain] = {}
    failures: dict[str, str] = {}
    for point in sorted(metadata.entry_points(group=serialization.DOMAINS), key=lambda point: point.name):
        try:
            module = point.load()
            domains[point.name] = Domain(
                name=point.name, recipes=dict(module.RECIPES), demo=tuple(module.DEMO)
            )
        except ModuleNotFoundError as error:
            if error.name in {point.module, "robustsuite"}:
                remedy = "is not installed here: run 'pip install -e .' in the checkout"
            else:
                remedy = f"needs the package '{error.name}': run 'pip install {error.name}'"
            failures[point.name] = f"domain '{point.name}' {remedy}"
        except Exception as error:  # noqa: BLE001  whatever a plug-in does, the others still work
            reason = (str(error).splitlines() or [""])[0]
            failures[point.name] = f"domain '{point.name}' does not load: {type(error).__name__}: {reason}"
    return Discovery(domains=domains, failures=failures)


def save_json(recipe: Recipe, path: Path) -> None:
    """Write a recipe as JSON, in one step.

    Raises:
        NotWritable: no permission to write there.
    """
    files.write_text(path, serialization.to_json(recipe))


def load_json(path: Path) -> Recipe:
    """Read a recipe that `save_json` wrote.

    Raises:
        InvalidInput: missing, not JSON, an unknown class or field, or a value of the wrong type.
    """
    path = files.checked_path(path)
    try:
        recipe: Recipe = serialization.from_json(path.read_text(encoding="utf-8"), Recipe)
    except FileNotFoundError:
        raise InvalidInput(f"no recipe at '{path}'; 'robustsuite train RECIPE' writes one") from None
    except (InvalidInput, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"recipe '{path}': {error}; put a whole copy in its place, or train anew"
        ) from None
    return recipe
