"""What must be there before a database is spoken to, in this order: a connection is given, the driver is present.

Standard library alone, so that it can say that the driver is missing. Called by `cli.__main__` and `cli.targets`.
"""

from __future__ import annotations

import argparse

from cli import direct
from cli.context import DEFAULT_STACK, is_here
from infra.errors import ChatdbError, ConnectionFailedError, RefusedError


def check_connection(options: argparse.Namespace) -> None:
    """Return when something names a database: the command line, a variable, or the stack `dev` that is up.

    Raises:
        ConnectionFailedError: nothing does.
    """
    given = direct.is_asked_for(options) or options.stack or direct.in_environment()
    if given or is_here(DEFAULT_STACK):
        return
    raise ConnectionFailedError(
        "no connection string is given",
        detail="Neither --url nor --stack is given; DATABASE_URL, POSTGRES_URL and PGHOST are not set.",
        hint='Set it: export DATABASE_URL="postgresql://user:password@host/database?sslmode=require"; '
        "or name a stack: --stack dev",
        state="Nothing was changed.",
    )


def missing(error: ImportError, options: argparse.Namespace) -> ChatdbError | None:
    """Return the error for a package that cannot be loaded; None where the mistake is in this project's own code.

    That no connection is given comes first, as it would with the package there.
    """
    package = (error.name or "").partition(".")[0]
    # psycopg without its compiled part says so without naming a module.
    if not package and "libpq" in str(error):
        package = "psycopg"
    if package in ("", "cli", "embedded", "infra"):
        return None
    if package.startswith("psycopg") and hasattr(options, "url"):
        try:
            check_connection(options)
        except ConnectionFailedError as first:
            return first
    what = "PostgreSQL's driver for Python" if package.startswith("psycopg") else f"the package {package}"
    return RefusedError(
        f"{what} is not installed",
        detail=" ".join(str(error).split()),
        hint="Install what requirements.txt names: make install",
    )
