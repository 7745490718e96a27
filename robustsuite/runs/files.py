"""Files that are either the old ones or the new ones, never a part of either."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from robustsuite.arguments import check_kind, described
from robustsuite.errors import InvalidInput, RobustsuiteError


class NotWritable(RobustsuiteError, OSError):
    """A file or folder cannot be written."""


def make_folder(path: Path) -> Path:
    """Make a folder and its parents where they are absent, and give it back.

    Raises:
        NotWritable: no permission, or a file stands where a folder is needed.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(path, error) from error
    return path


def checked_path(path: object) -> Path:
    """Give a path, whether it came as a text or as one.

    Raises:
        InvalidInput: something else, or a path that no file can have.
    """
    check_kind(path, (str, Path), "path", "the path of a file, a text or a pathlib.Path")
    assert isinstance(path, str | Path)
    if not str(path) or "\0" in str(path):
        raise InvalidInput(f"path is {str(path)!r}; expected the path of a file")
    try:
        Path(path).stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise InvalidInput(
                f"path is {described(str(path))}: {error.strerror}; expected the path of a file; choose another"
            ) from error
    return Path(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path to write; when the block ends well, it takes the place of `path` in one step.

    A process killed at any moment leaves the old file whole: the new one is flushed to disk before the rename. A link
    stays one: the file that it leads to is replaced.

    Raises:
        NotWritable: no permission, the disk is full, or what stands there is no file (a folder, a pipe, a device).
        InvalidInput: not a path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "note.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...     (Path(folder) / "note.txt").read_text()
        'whole'
    """
    path = checked_path(path)
    target = _replaceable(path)
    make_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise error if isinstance(error, RobustsuiteError) else not_writable(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _replaceable(path: Path) -> Path:
    """Give the file that a path leads to, if it is one or is yet to be made. A rename would replace a device, too."""
    if path.name in ("", ".."):
        raise InvalidInput(f"path is '{path}', a folder; expected the path of a file; give it a name")
    if os.path.exists(path) and not stat.S_ISREG(path.stat().st_mode):  # absent where it may not be looked at
        error = OSError(errno.EEXIST, "it is a folder" if path.is_dir() else "it is no regular file")
        raise not_writable(path, error) from error
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while writing left in a folder."""
    for temporary in folder.glob(".*.tmp"):
        if temporary.is_file():
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in one step. See `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened; the rename itself is still one step
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def not_writable(path: Path, error: Exception) -> NotWritable:
    """Give the error that says which file could not be written, and why."""
    reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
    return NotWritable(f"cannot write '{path}': {reason}; choose another place with --out, or free this one")
