"""Make loading a command quick: with nothing to apply, that is most of the time. Called by `__main__`, first of all."""

from __future__ import annotations

import gc
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

PACKAGES = ("psycopg", "psycopg_binary")
_METADATA = ".dist-info"


def prepare() -> None:
    """Do what must be done before psycopg is loaded."""
    # Loading allocates many objects that stay: to look through them for garbage again and again is time for nothing.
    gc.set_threshold(100_000, 50, 50)
    for package, version in _installed().items():
        # psycopg asks importlib.metadata for its version, which loads a parser of e-mails and of archives to read one
        # line: a tenth of all that is loaded. The name of the folder that it would read says the same.
        module = ModuleType(f"{package}.version")
        vars(module)["__version__"] = version
        sys.modules.setdefault(module.__name__, module)


def _installed() -> dict[str, str]:
    """Return the versions of the packages that are installed by wheels; psycopg looks for itself after any other."""
    spec = PathFinder.find_spec(PACKAGES[0])
    if spec is None or spec.origin is None:
        return {}
    versions: dict[str, str] = {}
    for folder in Path(spec.origin).parent.parent.iterdir():
        package, _, rest = folder.name.partition("-")
        if package in PACKAGES and rest.endswith(_METADATA):
            versions[package] = rest.removesuffix(_METADATA)
    return versions
