"""Read which database a command line or the environment names without a stack. Asks no server.

In this order: `--url` or the fields (`--host`, `--database`, …); then DATABASE_URL, POSTGRES_URL, and libpq's own PG*
variables and service file. Called by `cli.targets` and `cli.requirements`.

Source: https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING
"""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING

from infra.errors import ConnectionFailedError

if TYPE_CHECKING:
    from infra.connection import Target

URL_VARIABLES = ("DATABASE_URL", "POSTGRES_URL")
LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")
FIELDS = ("host", "port", "database", "user", "sslmode")
# What a target holds under a name of its own; any other keyword of a connection string goes to libpq as it is.
_OWN = {"host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "connect_timeout", "application_name"}
# SQLAlchemy and its like write the driver into the scheme; libpq knows no such scheme.
_DRIVER = re.compile(r"^(postgres(?:ql)?)\+\w+(?=://)")
_QUOTED = re.compile(r"""^(["'])(.*)\1$""", re.DOTALL)
# An @ behind the first slash: the password before it was taken for host, port and database.
_CUT_SHORT = re.compile(r"\w+://[^/?]*/[^?]*@")
# What libpq says of a parameter that it does not know: Prisma's schema, asyncpg's ssl.
_UNKNOWN = re.compile(r'^invalid URI query parameter: "(\w+)"$')


def is_asked_for(options: argparse.Namespace) -> bool:
    """Return whether the command line itself names a database."""
    return any(getattr(options, name, None) for name in ("url", *FIELDS))


def in_environment() -> bool:
    """Return whether a variable names a database."""
    return any(os.environ.get(name, "").strip() for name in (*URL_VARIABLES, *LIBPQ_VARIABLES))


def direct(options: argparse.Namespace) -> Target | None:
    """Return the database named without a stack; None where nothing names one, or the stack is the one to ask."""
    if not is_asked_for(options) and (options.stack or not in_environment()):
        return None
    fields = {name: str(value) for name in FIELDS if (value := getattr(options, name, None))}
    url = options.url or ""
    if not url and not fields:
        url = next((url for name in URL_VARIABLES if (url := os.environ.get(name, "").strip())), "")
    return from_url(url, owner=options.owner or "", **fields)


def from_url(url: str, *, owner: str = "", **fields: str) -> Target:
    """Return the database that a connection string names; what it leaves open is as libpq has it.

    Args:
        url: `postgresql://user:password@host:port/database?sslmode=require`, or libpq's `key=value` form; empty for
            the PG* variables alone.
        owner: Role to act as after login; empty for the login itself.
        fields: Parts that count over the string's: host, port, database, user, sslmode.

    Raises:
        ConnectionFailedError: it is no connection string; the text does not repeat it.
    """
    from psycopg import ProgrammingError, pq
    from psycopg.conninfo import conninfo_to_dict

    from infra.connection import Target

    # A variable that was read out of a file often ends with its line end, or still has its quotes.
    url = _DRIVER.sub(r"\1", _QUOTED.sub(r"\2", url.strip()))
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        if service := parts.pop("service", ""):
            os.environ["PGSERVICE"] = service
        known = {entry.keyword.decode(): entry.val.decode() for entry in pq.Conninfo.get_defaults() if entry.val}
    except ProgrammingError as error:
        raise _unreadable(_mistake(url, str(error))) from None
    except UnicodeError:
        raise _unreadable("It, or a PG* variable, holds bytes that are no UTF-8 text") from None
    if "database" in fields:
        fields["dbname"] = fields.pop("database")
    parts |= fields
    whole = known | parts
    user = whole.get("user", "")
    port = whole.get("port", "5432")
    if "," in whole.get("host", "") + port:
        raise _unreadable("It names several servers, and one is to be migrated")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise _unreadable("Its port is no number from 1 to 65535")
    if "@" in parts.get("host", "").lstrip("@") or _CUT_SHORT.match(url):
        raise _unreadable("Its password, or another part, holds a character that ends it")
    timeout = whole.get("connect_timeout", "")
    return Target(
        host=whole.get("host") or whole.get("hostaddr") or "localhost",
        port=int(port),
        database=whole.get("dbname") or user,
        user=user,
        password=whole.get("password", ""),
        role=owner,
        sslmode=whole.get("sslmode", "prefer"),
        sslrootcert=whole.get("sslrootcert", ""),
        connect_timeout_s=int(timeout) if timeout.isdecimal() and int(timeout) else Target.connect_timeout_s,
        further=tuple(sorted((key, value) for key, value in parts.items() if key not in _OWN)),
    )


def _mistake(url: str, text: str) -> str:
    """Return what libpq found wrong with a connection string, in words that repeat nothing of a password."""
    unknown = _UNKNOWN.match(text)
    if unknown and "@" not in url.partition("?")[2]:
        return f"It has the parameter {unknown[1]}, which is a driver's own: TLS is asked for by sslmode"
    return "It is neither a postgresql:// URL nor libpq's key=value form"


def _unreadable(why: str) -> ConnectionFailedError:
    return ConnectionFailedError(
        "the connection string cannot be read",
        detail=f"{why}; it may hold a password, so it is not shown.",
        hint="Give it as postgresql://user:password@host:5432/database?sslmode=require, with @ : / ? # % in the "
        "password percent-encoded: %40 %3A %2F %3F %23 %25.",
        state="Nothing was changed.",
    )
