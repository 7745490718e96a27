"""Packages that load what is asked of them when it is asked for: `robustsuite --help` need not wait for torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def names(package: str, **modules: str) -> Callable[[str], Any]:
    """Give a package's ``__getattr__``.

    Args:
        package: its ``__name__``.
        modules: the names that each of its modules gives, with spaces between them; a module that gives none is itself
            the name. A module in a folder has a dot: ``**{"threat.scale": ""}``.

    Example:
        >>> getattr_ = names("robustsuite", perturbations="Linf L2", attacks="")
        >>> getattr_("L2").__name__, getattr_("attacks").__name__
        ('L2', 'robustsuite.attacks')
    """
    homes = {name: module for module, given in modules.items() for name in given.split()}
    rooms = {module.rpartition(".")[2]: module for module, given in modules.items() if not given}

    def getattr_(name: str) -> Any:
        if name in homes:
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        if name in rooms:
            return importlib.import_module(f"{package}.{rooms[name]}")
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return getattr_
