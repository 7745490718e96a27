"""Recipes: a whole run as one frozen dataclass, where recipes stand, and how the command line finds them.

A recipe is a literal in a function that stands with its name, its line for `robustsuite list` and its cost in a `Family`:

    DIGITS = Family("digits", data=(Included("digits", "scikit-learn"),))

    @DIGITS.recipe("digits-standard", "conv net, standard training", minutes=0.5)
    def standard() -> Classification:
        return Classification(data="digits", objective=rs.training.Standard(), ...)

    @DIGITS.recipe("digits-adversarial", "conv net, adversarial training", minutes=1)
    def adversarial() -> Classification:
        return replace(standard(), objective=...)

`robustsuite list` reads the first lines alone, so what the literal is made of (torch ...) is not loaded for it.

A domain is a module with two names, or up to five, found by the entry point group "robustsuite.domains":

- ``RECIPES: Mapping[str, Entry[Recipe]]``, by the name on the command line: ``catalogue(DIGITS, ...)``;
- ``DEMO: tuple[str, ...]``, the names of those that the demo runs;
- ``COMMANDS: Mapping[str, Callable[..., int]]``, its own commands, functions like those in `robustsuite.commands`;
- ``FIGURES: Sequence[Callable[[Sequence[Record]], Sequence[report.figures.Figure]]]``, for reports;
- ``EVALUATIONS: Sequence[Callable[[Path], Recipe | None]]``: the recipe that measures what stands at a path, for
  `robustsuite evaluate PATH [its fields as options]`, or None where that is nothing of the domain's.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import tyro

from robustsuite.arguments import MAX_SEED, check_callable, check_fields, check_kind, check_number
from robustsuite.errors import InvalidInput
from robustsuite.runs import files, serialization
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run
from robustsuite.sources import Included, Source


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """A whole run: what is trained on what, how it is attacked and measured. Domains add their fields.

    Args:
        name: on the command line and of the run's folder; given by its `Entry`.
        description: one line for `robustsuite list`; given by its `Entry`.
        seed: of everything random in the run, in [0, 2**63 - 1].
        device: "cpu", "cuda", "cuda:1" ...

    Raises:
        InvalidInput: a value outside its range, here and in all recipes: before anything is written.
    """

    domain: ClassVar[str]

    name: Annotated[str, tyro.conf.Suppress] = ""
    description: Annotated[str, tyro.conf.Suppress] = ""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_fields(self, "seed", integer=True, least=0, most=MAX_SEED)
        check_kind(self.device, str, "device", "a name such as 'cpu' or 'cuda:1'")

    @abstractmethod
    def train(self, run: Run) -> None:
        """Train and write checkpoints below ``run.checkpoints``; continue from them where ``run.resume``."""

    @abstractmethod
    def evaluate(self, run: Run) -> list[Record]:
        """Load what `train` saved, measure it, and give the records."""


_R = TypeVar("_R", bound=Recipe)
_R_co = TypeVar("_R_co", bound=Recipe, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[_R_co]):
    """What is known of a recipe before it is made. Called, it makes the recipe.

    Args:
        name: on the command line.
        description: one line for `robustsuite list`.
        minutes: what training and measuring take on one core of a present machine, > 0.
        family: where it stands.
        make: gives the recipe, all but its name and description.
        command: that runs it.
    """

    name: str
    description: str
    minutes: float
    family: Family = field(repr=False)
    make: Callable[[], _R_co]
    command: str = "train"

    def __post_init__(self) -> None:
        check_number(f"minutes of recipe '{self.name}'", self.minutes, above=0)

    def __call__(self) -> _R_co:
        """Make the recipe.

        Raises:
            InvalidInput: it needs a package that is not installed.
        """
        try:
            return replace(self.make(), name=self.name, description=self.description)
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"recipe '{self.name}' needs the package '{error.name}': run 'pip install {error.name}'"
            ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Recipes that are compared with each other: those of one data set or environment.

    Args:
        title: for `robustsuite list`.
        data: what all of them need.
    """

    title: str
    data: tuple[Source | Included, ...] = ()
    entries: dict[str, Entry[Recipe]] = field(default_factory=dict, init=False, repr=False)

    def recipe(
        self, name: str, description: str, *, minutes: float, command: str = "train"
    ) -> Callable[[Callable[[], _R]], Entry[_R]]:
        """Put a function that gives a recipe under a name. See `Entry`."""

        def put(make: Callable[[], _R]) -> Entry[_R]:
            entry = Entry(
                name=name, description=description, minutes=minutes, family=self, make=make, command=command
            )
            if name in self.entries:
                raise InvalidInput(f"'{name}' stands twice in family '{self.title}'; choose another name")
            self.entries[name] = entry
            return entry

        return put


def catalogue(*families: Family) -> dict[str, Entry[Recipe]]:
    """Give the recipes of families by name.

    Raises:
        InvalidInput: a name stands in two of them.
    """
    entries: dict[str, Entry[Recipe]] = {}
    for family in families:
        for name, entry in family.entries.items():
            if name in entries:
                raise InvalidInput(
                    f"'{name}' stands in the families '{entries[name].family.title}' and '{family.title}'; "
                    "choose another name"
                )
            entries[name] = entry
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What an installed domain offers.

    Args:
        name: of the domain.
        recipes: by name, not made yet.
        demo: names of the recipes that the demo runs.
        commands: by name; functions like those in `robustsuite.commands`.
        figures: functions from records to figures that reports show below the curves.
        evaluations: functions from a path to the recipe that measures what stands there, or None.
    """

    name: str
    recipes: Mapping[str, Entry[Recipe]]
    demo: tuple[str, ...]
    commands: Mapping[str, Callable[..., int]]
    figures: tuple[Callable[[Sequence[Record]], Sequence[Any]], ...]
    evaluations: tuple[Callable[[Path], Recipe | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The domains that loaded, and one line for each that did not.

    Args:
        domains: by name.
        failures: the reason in one line, by the domain's name.
    """

    domains: Mapping[str, Domain]
    failures: Mapping[str, str]

    @property
    def commands(self) -> dict[str, Callable[..., int]]:
        """The commands that domains bring, by name."""
        return {
            name: command for domain in self.domains.values() for name, command in domain.commands.items()
        }

    def evaluation(self, path: Path) -> Recipe:
        """Give the recipe that measures what stands at a path.

        Raises:
            InvalidInput: no domain knows it.
        """
        for domain in self.domains.values():
            for evaluation in domain.evaluations:
                recipe = evaluation(path)
                if recipe is not None:
                    return replace(recipe, name=f"{path.stem or path.name}-evaluation", description=str(path))
        absent = "".join(f"; {line}" for line in self.failures.values())
        raise InvalidInput(
            f"nothing at '{path}' can be evaluated with options; expected the folder of a run, or an agent's file{absent}"
        )

    def find(self, name: str) -> Entry[Recipe]:
        """Give the recipe of this name.

        Raises:
            InvalidInput: no domain has it; the message names the nearest ones.
        """
        known = {key: entry for domain in self.domains.values() for key, entry in domain.recipes.items()}
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
            domains[point.name] = _domain(point.name, module)
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


def _domain(name: str, module: Any) -> Domain:
    """Read what a domain's module offers.

    Raises:
        InvalidInput: its recipes are no entries, or its commands, figures or evaluations no functions.
    """
    for entry in module.RECIPES.values():
        check_kind(entry, Entry, "an item of RECIPES", "an Entry: make them with Family(...).recipe(...)")
    commands, figures = getattr(module, "COMMANDS", {}), getattr(module, "FIGURES", ())
    evaluations = getattr(module, "EVALUATIONS", ())
    for part in (*commands.values(), *figures, *evaluations):
        check_callable(part, "an item of COMMANDS, FIGURES or EVALUATIONS", "a function")
    return Domain(
        name=name,
        recipes=dict(module.RECIPES),
        demo=tuple(module.DEMO),
        commands=dict(commands),
        figures=tuple(figures),
        evaluations=tuple(evaluations),
    )


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
