"""The package list, the mapping of the domains, the public names, and the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import robustsuite

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = ("envs", "nlp", "vision")
ROOTS = ("robustsuite", *(f"robustsuite.{domain}" for domain in DOMAINS))


def test_pyproject_lists_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for folder in ("robustsuite", *DOMAINS)
        for file in (ROOT / folder).rglob("__init__.py")
    }
    found = {name if name.startswith("robustsuite") else f"robustsuite.{name}" for name in found}
    assert set(listed) == found
    assert len(listed) == len(set(listed))


def test_every_module_stands_in_a_package() -> None:
    for folder in ("robustsuite", *DOMAINS):
        for file in (ROOT / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), f"{file.parent} lacks __init__.py"


@pytest.mark.parametrize("domain", DOMAINS)
def test_nothing_shadows_a_mapped_domain(domain: str) -> None:
    assert not (ROOT / "robustsuite" / domain).exists()
    assert not (ROOT / "robustsuite" / f"{domain}.py").exists()


@pytest.mark.parametrize("domain", DOMAINS)
def test_domains_are_imported_from_their_folders(domain: str) -> None:
    module = importlib.import_module(f"robustsuite.{domain}")
    assert module.__file__ is not None
    assert Path(module.__file__).parent.name == domain


def test_public_names() -> None:
    """A change here is a change for users: say so in CHANGELOG.md."""
    names = {"L0", "L1", "L2", "Box", "Linf", "RobustsuiteError", "Scaled", "Substitutions"}
    names |= {"attacks", "bounds", "evaluation", "training"}
    assert set(robustsuite.__all__) == names
    assert {"trace", "ibp", "crown_ibp", "crown", "alpha_crown", "margins", "certified"} <= set(
        robustsuite.bounds.__all__
    )
    assert {"FGSM", "PGD", "losses"} <= set(robustsuite.attacks.__all__)


@pytest.mark.parametrize("name", ["ibp", "crown_ibp", "crown", "alpha_crown"])
def test_bound_methods_have_one_signature(name: str) -> None:
    parameters = inspect.signature(getattr(robustsuite.bounds, name)).parameters
    assert list(parameters)[:2] == ["net", "region"]
    assert parameters["objective"].kind is inspect.Parameter.KEYWORD_ONLY


def _modules() -> list[str]:
    names = set(ROOTS)
    for root in ROOTS:
        package = importlib.import_module(root)
        names |= {module.name for module in pkgutil.walk_packages(package.__path__, f"{root}.")}
    return sorted(names - {"robustsuite.__main__"})


@pytest.mark.parametrize("name", _modules())
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert result.failed == 0


def test_import_is_light() -> None:
    """`import robustsuite` loads torch, and none of the libraries that single modules need."""
    heavy = ["datasets", "matplotlib", "pandas", "sklearn", "stable_baselines3", "gymnasium", "transformers"]
    code = f"import sys, robustsuite.commands.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
