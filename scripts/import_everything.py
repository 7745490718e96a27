"""Import every module of an installed robustsuite and check that it comes from there: import_everything.py FOLDER."""

import importlib
import pkgutil
import sys
from pathlib import Path


def main() -> None:
    """Import all, and stop at the first module that fails or comes from elsewhere."""
    folder = Path(sys.argv[1]).resolve()
    package = importlib.import_module("robustsuite")
    names = [module.name for module in pkgutil.walk_packages(package.__path__, "robustsuite.")]
    for name in names:
        module = importlib.import_module(name)
        if module.__file__ is None or folder not in Path(module.__file__).resolve().parents:
            sys.exit(f"error: {name} comes from {module.__file__}; expected below {folder}")
    missing = {"robustsuite.envs", "robustsuite.nlp", "robustsuite.vision"} - set(names)
    if missing:
        sys.exit(f"error: the wheel lacks {sorted(missing)}; see `packages` in pyproject.toml")
    print(f"{len(names)} modules imported from the wheel")


if __name__ == "__main__":
    main()
