"""Files that may be gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from robustsuite.errors import InvalidInput


def find(path: Path) -> Path:
    """Give `path`, or ``path.gz`` where only that exists.

    Raises:
        InvalidInput: neither exists.
    """
    packed = path.parent / f"{path.name}.gz"
    for candidate in (path, packed):
        try:
            if candidate.is_file():
                return candidate
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}; check the path") from error
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; expected a file")
    raise InvalidInput(f"{path} does not exist (nor {packed.name}); check the path")


def read(path: Path) -> bytes:
    """Read a file whole, unpacked where its name ends with .gz.

    Raises:
        InvalidInput: the file is absent, not readable, or not a whole gzip file.
    """
    path = find(path)
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} is not a whole gzip file ({error}); get it again") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
