"""Runs: the folder of one training run, its metrics and its progress.

``runs/<name>/`` holds recipe.json, records.parquet, metrics/ (TensorBoard), checkpoints/ and report.html. A `Run`
is what a recipe receives; who draws the progress decides the command line, by the listener it passes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from robustsuite.arguments import check_kind
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.runs import files, serialization

_RESERVED = '/\\<>:"|?*'
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(10))}
"""What Windows takes for a device, whatever the folder."""

_SECONDS_BETWEEN_EVENTS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """How far one part of a run is.

    Args:
        run: the run's name.
        description: of the part, such as "training".
        done, total: in the part's own units (steps, episodes, batches); done == total at its end.
    """

    run: str
    description: str
    done: int
    total: int


Listener = Callable[[ProgressEvent], None]


class ProgressBar:
    """Counts the steps of one part of a run and tells the listener, ten times a second at most."""

    def __init__(self, event: ProgressEvent, listener: Listener) -> None:
        self._event, self._listener, self._last = event, listener, 0.0
        self.to(event.done)

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more."""
        self.to(self._event.done + steps)

    def to(self, done: int) -> None:
        """Set the count, as after resuming in the middle."""
        event = self._event
        if done == event.done and self._last:
            return
        self._event = ProgressEvent(
            run=event.run, description=event.description, done=done, total=event.total
        )
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_EVENTS or done >= event.total:
            self._last = now
            self._listener(self._event)


def silent(event: ProgressEvent) -> None:
    """Draw nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of one run. Made by `Run.create`, `Run.open` or `Run.scratch`.

    Args:
        path: of the folder.
        resume: whether to continue from what `checkpoints` holds.
        listener: told of progress.
    """

    path: Path
    resume: bool = field(default=False, kw_only=True)
    listener: Listener = field(default=silent, kw_only=True, repr=False)
    _scalars: _Scalars = field(init=False, repr=False, compare=False)
    _owned: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", files.checked_path(self.path))
        object.__setattr__(self, "_scalars", _Scalars(self.metrics))

    @classmethod
    def create(
        cls,
        path: Path,
        recipe: object,
        *,
        resume: bool = False,
        replace: bool = False,
        listener: Listener = silent,
    ) -> Run:
        """Make the folder of a run and write its recipe.json.

        Args:
            path: of the folder.
            recipe: the `Recipe`, a dataclass; saved, and compared with the present one when resuming.
            resume: continue the run that is there.
            replace: remove what a run of before left there.
            listener: told of progress.

        Raises:
            InvalidInput: a run is there and neither `resume` nor `replace` is given; or there is nothing to
                resume, or a run of another recipe.
            NotWritable: no permission to write there.
        """
        text = serialization.to_json(recipe)
        run = cls(path, resume=resume, listener=listener)
        for folder in (run.path, run.checkpoints, run.metrics):
            if folder.is_symlink():
                raise InvalidInput(
                    f"'{folder}' is a link to '{folder.resolve()}'; expected a folder of the run's own: choose another "
                    "--name or --out"
                )
        if replace and not resume:
            run._clear()
        if resume:
            if not run.recipe_file.exists():
                raise InvalidInput(f"no run at '{path}' to resume; start one without --resume")
            different = serialization.differences(read_recipe(run.recipe_file), text)
            if different:
                raise InvalidInput(
                    f"run '{path}' has another recipe ({'; '.join(different)}); "
                    "resume with the same options, or start anew with another --name"
                )
        elif run.recipe_file.exists():
            raise InvalidInput(
                f"run '{path}' exists; continue it with --resume, or choose another --name or --out"
            )
        for folder in (run.path, run.checkpoints, run.metrics):
            files.make_folder(folder)
        files.remove_leftovers(run.checkpoints)
        if not resume:
            files.write_text(run.recipe_file, text)
        return run

    @classmethod
    def open(cls, path: Path, *, listener: Listener = silent) -> Run:
        """Open the folder of a run that is there, to evaluate or report it.

        Raises:
            InvalidInput: there is no run.
        """
        run = cls(path, resume=True, listener=listener)
        if not run.recipe_file.is_file():
            raise InvalidInput(
                f"no run at '{path}' (recipe.json is missing); 'robustsuite train RECIPE' makes one"
            )
        return run

    @classmethod
    def scratch(cls, path: Path | None = None, *, resume: bool = False) -> Run:
        """Give a silent run without a recipe, for tests and notebooks.

        Args:
            path: of the folder; None for a temporary one that goes with the `Run`.
            resume: as in `create`.
        """
        temporary = tempfile.TemporaryDirectory(prefix="robustsuite-") if path is None else None
        run = cls(Path(temporary.name) if temporary else Path(str(path)), resume=resume)
        object.__setattr__(run, "_owned", temporary)
        for folder in (run.checkpoints, run.metrics):
            files.make_folder(folder)
        return run

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def recipe_file(self) -> Path:
        """Where the recipe is saved."""
        return self.path / "recipe.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def records(self) -> Path:
        """The file of records."""
        return self.path / "records.parquet"

    @property
    def metrics(self) -> Path:
        """The folder of TensorBoard events."""
        return self.path / "metrics"

    @property
    def report(self) -> Path:
        """Where the page of this run is written."""
        return self.path / "report.html"

    def log(self, step: int, **scalars: float) -> None:
        """Write scalars to TensorBoard. Names are paths: ``run.log(10, **{"train/loss": 0.3})``.

        Args:
            step: of training; after a resume, what was logged from this step on is superseded.
            scalars: numbers by name.
        """
        self._scalars.write(step, scalars, superseding=self.resume)

    @contextmanager
    def progress(self, description: str, total: int) -> Iterator[ProgressBar]:
        """Count the steps of a part of the run; the listener draws them.

        Example:
            >>> run = Run.scratch()
            >>> with run.progress("training", total=3) as progress:
            ...     for _ in range(3):
            ...         progress.advance()
        """
        event = ProgressEvent(run=self.name, description=description, done=0, total=max(1, total))
        progress = ProgressBar(event, self.listener)
        yield progress
        progress.to(event.total)

    def withdraw(self) -> None:
        """Remove what `create` made, where nothing was trained yet: the same name may be used at once."""
        self._scalars.close()
        if not self.resume and not (self.checkpoints.is_dir() and any(self.checkpoints.iterdir())):
            self._clear()
            with suppress(OSError):  # something else lies there
                self.path.rmdir()

    def close(self) -> None:
        """Write what TensorBoard still holds back. `log` may be called again."""
        self._scalars.close()

    def _clear(self) -> None:
        """Remove what a run writes, and nothing else that lies in the folder."""
        for folder in (self.checkpoints, self.metrics):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.recipe_file, self.records, self.report):
            file.unlink(missing_ok=True)


def read_recipe(recipe_file: Path) -> str:
    """Give the text of a recipe.json.

    Raises:
        InvalidInput: it cannot be read, or is not whole.
    """
    try:
        text = recipe_file.read_text(encoding="utf-8")
        whole = isinstance(json.loads(text), dict)
    except (OSError, ValueError, RecursionError):
        whole = False
    if not whole:
        raise InvalidInput(
            f"recipe '{recipe_file}' is damaged; put a whole copy in its place, or train anew with another --name"
        )
    return text


def plain_name(name: object) -> str:
    """Check the name of a run: one folder name that means the same on every system, and leads nowhere else.

    Raises:
        InvalidInput: empty, a path, hidden, too long, or with characters that some systems reserve.
    """
    check_kind(name, str, "name", "the name of a folder, such as 'digits-1'")
    assert isinstance(name, str)
    odd = not name or name[0] == "." or name[-1] in ". " or name != name.strip() or len(name.encode()) > 200
    reserved = any(character in _RESERVED or not character.isprintable() for character in name)
    if odd or reserved or name.partition(".")[0].upper() in _DEVICES:
        raise InvalidInput(
            f"name is {name!r}; expected one plain folder name, such as 'digits-1': choose the place with --out"
        )
    return name


@cache
def _quieten_writer_threads() -> None:
    """Have TensorBoard's threads print no traceback of an error that the next call raises anyway."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs, /) -> None:
        own = type(arguments.thread).__module__.startswith("tensorboard.")
        if not (own and isinstance(arguments.exc_value, OSError)):
            before(arguments)

    threading.excepthook = hook


class _Scalars:
    """A TensorBoard writer that opens with the first number."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._writer = folder, None

    _writer: Any

    def write(self, step: int, scalars: dict[str, float], *, superseding: bool) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            files.make_folder(self._folder)
            _quieten_writer_threads()
            with self._told():
                self._writer = SummaryWriter(
                    str(self._folder), purge_step=step if superseding else None, flush_secs=10
                )
        with self._told():
            for name, value in scalars.items():
                self._writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with self._told():
                writer.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one line that the metrics cannot be written. TensorBoard writes in a thread of its own."""
        try:
            yield
        except OSError as error:
            self._writer = None
            raise (
                error if isinstance(error, RobustsuiteError) else files.not_writable(self._folder, error)
            ) from error
