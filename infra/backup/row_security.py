"""Read every row where row security would hide some. An edge; called by `taking` and `infra.teardown`.

A superuser, and a role with BYPASSRLS, reads everything. Managed servers often give neither. There the owner reads, and
row security binds the owner too (FORCE). Row security is then not forced for as long as the reading takes: that touches
the owner alone, who cannot log in; for the services nothing changes. It takes a lock for a moment, twice.

What is read is the snapshot from before, in which row security is forced: so it is in the dump. The table
`chatdb.unforced`, made in the same transaction, says what to force again where this process is killed; the next backup,
or whoever reads by this module, does it first.

Source: https://www.postgresql.org/docs/18/ddl-rowsecurity.html, check_enable_rls in utils/misc/rls.c
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from infra.backup.errors import BackupError
from infra.connection import Target, connect
from infra.errors import ChatdbError

# The tables of which this session would not see every row, and whether it owns them and they are forced.
_HIDDEN = """
SELECT n.nspname::text, c.relname::text, pg_has_role(c.relowner, 'USAGE') AND c.relforcerowsecurity
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND row_security_active(c.oid) ORDER BY 1, 2
"""
_NOTE = "CREATE TABLE chatdb.unforced AS SELECT * FROM (VALUES {}) AS left_off (schema_name, table_name)"
_LOCK_KEY = 7_233_017_448_220_113
ATTEMPTS = 10
LOCK_TIMEOUT = "2s"


@contextlib.contextmanager
def alone(target: Target) -> Iterator[psycopg.Connection[Any]]:
    """Give a session beside the reader's that keeps other backups of this database out for the length of the block.

    What a killed backup left unforced is forced again first: before the reader's snapshot is taken.

    Raises:
        BackupError: another backup of this database is going on.
    """
    with connect(target.to(application_name="chatdb backup")) as aside:
        _alone(aside, target)
        _force_what_was_left(aside)
        yield aside


@contextlib.contextmanager
def all_rows_readable(
    target: Target, aside: psycopg.Connection[Any], connection: psycopg.Connection[Any]
) -> Iterator[None]:
    """Let every row be read for the length of the block.

    Args:
        target: Who reads; as the owner, where that is not a superuser.
        aside: The session of `alone`.
        connection: The reader's session, in a transaction that has its snapshot already.

    Raises:
        BackupError: some rows would stay hidden.
    """
    hidden = connection.execute(_HIDDEN).fetchall()
    if foreign := [f"{schema}.{name}" for schema, name, may in hidden if not may]:
        raise BackupError(
            f"row security hides rows from {target.role or target.user}",
            detail=f"of {', '.join(foreign)}; a backup without them would be none",
            hint="Connect as a superuser, a role with BYPASSRLS, or the owner of these tables.",
            state="Nothing was changed.",
        )
    tables = [(schema, name) for schema, name, _ in hidden]
    if not tables:
        yield
        return
    _unforce(aside, tables)
    try:
        yield
    finally:
        _force_again(target, aside, tables)


def _alone(connection: psycopg.Connection[Any], target: Target) -> None:
    """Hold an advisory lock while the session lasts: two would force and unforce against each other."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_KEY]).fetchone()
    if not (row and row[0]):
        raise BackupError(
            f"another backup of {target.label} is going on",
            detail="a session holds the advisory lock of backups of this database",
            hint="Wait until it ends, then run the same command again.",
            state="Nothing was changed.",
        )


def _force_what_was_left(connection: psycopg.Connection[Any]) -> None:
    """Force row security again where a killed backup left it off: nobody else can be at it under the lock."""
    there = connection.execute("SELECT to_regclass('chatdb.unforced') IS NOT NULL").fetchone()
    if not (there and there[0]):
        return
    tables = connection.execute("SELECT schema_name, table_name FROM chatdb.unforced").fetchall()
    standing = [pair for pair in tables if _stands(connection, *pair)]
    _change(connection, standing, "FORCE", "DROP TABLE chatdb.unforced")


def _stands(connection: psycopg.Connection[Any], schema: str, name: str) -> bool:
    row = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL", [sql.Identifier(schema, name).as_string(connection)]
    ).fetchone()
    return bool(row and row[0])


def _unforce(connection: psycopg.Connection[Any], tables: list[tuple[str, str]]) -> None:
    pairs = sql.SQL(", ").join(sql.SQL("({}, {})").format(schema, name) for schema, name in tables)
    _change(connection, tables, "NO FORCE", sql.SQL(_NOTE).format(pairs).as_string(connection))


def _force_again(target: Target, connection: psycopg.Connection[Any], tables: list[tuple[str, str]]) -> None:
    """Force it again, over a new session where the first is lost."""
    try:
        _change(connection, tables, "FORCE", "DROP TABLE chatdb.unforced")
    except psycopg.OperationalError:
        try:
            with connect(target) as another:
                _force_what_was_left(another)
        except ChatdbError as error:
            named = ", ".join(f"{schema}.{name}" for schema, name in tables)
            error.state = f"Row security does not bind the owner of {named} until the next `chatdb backup`."
            raise


def _change(connection: psycopg.Connection[Any], tables: list[tuple[str, str]], how: str, also: str) -> None:
    """Force or unforce tables and run one statement more, all or nothing; tried again while others hold a lock."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
                connection.execute(also.encode())
                for schema, name in tables:
                    statement = sql.SQL("ALTER TABLE {} " + how + " ROW LEVEL SECURITY")
                    connection.execute(statement.format(sql.Identifier(schema, name)))
        except psycopg.errors.LockNotAvailable:
            if attempt == ATTEMPTS:
                raise
            time.sleep(random.uniform(0.1, 0.5) * attempt)  # noqa: S311 - jitter, no secret
        else:
            return
