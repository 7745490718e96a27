"""Where data comes from: files below ROBUSTSUITE_DATA, the Hub, or a package that brings it along.

This module imports nothing heavy: `robustsuite list` asks it which data is here. `robustsuite.data` reads the files.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "ROBUSTSUITE_DATA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set of parquet files.

    Args:
        name: on the command line and in records.
        files: by split, below ROBUSTSUITE_DATA.
        classes: the number of classes.
        hub: name on the Hub, or None.
        hub_splits: the Hub's split by the split's name here.
    """

    name: str
    files: Mapping[str, str]
    classes: int
    hub: str | None = None
    hub_splits: Mapping[str, str] | None = None

    def path(self, split: str) -> Path | None:
        """Give where a split's file belongs, or None where ROBUSTSUITE_DATA is not set."""
        root = os.environ.get(VARIABLE)
        return Path(root) / self.files[split] if root else None

    @property
    def is_here(self) -> bool:
        """Whether all files are there."""
        return all((path := self.path(split)) is not None and path.is_file() for split in self.files)

    def describe(self) -> str:
        """Say in a few words where the data is."""
        if self.is_here:
            return f"{self.name}: here"
        other = " or pass --download" if self.hub is not None else ""
        return f"{self.name}: absent, set {VARIABLE}{other}"


@dataclass(frozen=True, slots=True)
class Included:
    """Data or an environment that needs no files.

    Args:
        name: as in `Source`.
        by: who brings it: the name of a package, or "made" for what the suite makes itself.
    """

    name: str
    by: str

    @property
    def is_here(self) -> bool:
        """See `Source`."""
        return True

    def describe(self) -> str:
        """See `Source`."""
        return f"{self.name}: {self.by if self.by == 'made' else f'comes with {self.by}'}"
