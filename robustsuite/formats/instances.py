"""Lists of verification instances: CSV files of network, property and timeout, as VNN-COMP has them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from robustsuite.errors import InvalidInput
from robustsuite.formats import compressed

MAX_TIMEOUT = 1e7
"""Seconds; beyond some such number, clocks overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One question: may the network's output be in the property's unsafe set?

    Attributes:
        network: an ONNX file, may be gzipped.
        specification: a VNN-LIB file, may be gzipped.
        timeout: seconds, > 0 and at most `MAX_TIMEOUT`; None where the list gives none.
    """

    network: Path
    specification: Path
    timeout: float | None


def read_instances(path: Path) -> tuple[Instance, ...]:
    """Read a list of instances; file names in it are relative to its folder.

    Args:
        path: a CSV file (may be gzipped) with the columns network, property and, if wanted, timeout in seconds.
            Further columns and a header, the first line if it names no file, are passed over.

    Raises:
        InvalidInput: the file is absent, empty, or a line does not have this form.
    """
    try:
        text = compressed.read(path).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not a text file; expected a CSV of network,property,timeout"
        ) from error
    found: list[Instance] = []
    for number, cells in _lines(text, path):
        if number == 1 and not any(cell.endswith(_ENDINGS) for cell in cells[:2]):
            continue
        if len(cells) < 2 or not cells[0] or not cells[1]:
            raise InvalidInput(f"{path}, line {number}: expected network,property,timeout; got '{cells[0]}'")
        network, specification = (path.parent / cell for cell in cells[:2])
        timeout = _seconds(cells[2], path, number) if len(cells) > 2 and cells[2] else None
        found.append(Instance(network=network, specification=specification, timeout=timeout))
    if not found:
        raise InvalidInput(
            f"{path} holds no instance; expected lines of network.onnx,property.vnnlib,timeout"
        )
    return tuple(found)


_ENDINGS = (".onnx", ".onnx.gz", ".vnnlib", ".vnnlib.gz")


def _lines(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the number and the cells of each line that is not empty."""
    try:
        for number, cells in enumerate(csv.reader(text.splitlines()), start=1):
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield number, cells
    except csv.Error as error:
        raise InvalidInput(
            f"{path} is not a CSV file ({error}); expected lines of network,property,timeout"
        ) from error


def _seconds(cell: str, path: Path, number: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_TIMEOUT:
        raise InvalidInput(
            f"{path}, line {number}: the timeout is '{cell}'; expected seconds > 0, at most {MAX_TIMEOUT:g}"
        )
    return value
