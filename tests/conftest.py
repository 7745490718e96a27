"""What all tests share: one torch thread, where data is, and a skip where it is absent."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import jaxtyping
import pytest
import torch
import torch._export.utils

from .toy_domain import toy

__all__ = ["toy"]  # a fixture of several folders

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"

if "ROBUSTSUITE_DATA" not in os.environ and _BESIDE.is_dir():
    os.environ["ROBUSTSUITE_DATA"] = str(_BESIDE)
os.environ.setdefault("COLUMNS", "120")  # the width of tables and help texts

torch.set_num_threads(1)

# Whenever torch takes a module apart it asks for all its operators anew, a third of the time of a trace; the tests add none.
_operators = "_materialize_cpp_cia_ops"
if hasattr(torch._export.utils, _operators):
    setattr(torch._export.utils, _operators, functools.cache(getattr(torch._export.utils, _operators)))


@pytest.fixture
def as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch the annotation checks of the test run off: users get the suite's own message."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def data_folder() -> Callable[[str], Path]:
    """Give the folder of a data set, or skip the test where it is absent: ``data_folder("mnist10k")``."""

    def find(name: str) -> Path:
        root = os.environ.get("ROBUSTSUITE_DATA")
        folder = Path(root or "") / name
        if not root or not folder.is_dir():
            pytest.skip(f"data '{name}' is absent; set ROBUSTSUITE_DATA to the folder that holds it")
        return folder

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of one case in one process, where it is traced once."""
    for item in items:
        case = getattr(item, "callspec", None) and item.callspec.params.get("case")  # type: ignore[attr-defined]
        if case is not None:
            item.add_marker(pytest.mark.xdist_group(str(case)))
