"""The ledger: what was done to this database, in the table `chatdb.ledger`. An edge: SQL in, rows out.

Called by `runner` and `script`, which write the very same statements: they are in `ledger_sql`. Rows are chained by
their hashes, and `chatdb.head` knows the newest one, so that its removal is seen too.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from infra.connection import server_message
from infra.migrations import ledger_sql
from infra.migrations.failures import LedgerAccessError
from infra.migrations.model import LedgerRow, Migration

SCHEMA = "chatdb"
_TABLES = ("chatdb.ledger", "chatdb.head")
_OWNER = """
SELECT quote_ident(pg_get_userbyid(nspowner)), quote_ident(current_user) FROM pg_namespace
WHERE nspname = %s AND NOT pg_has_role(nspowner, 'USAGE')"""
_THERE = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"


def read(connection: psycopg.Connection[Any]) -> list[LedgerRow]:
    """Return all rows, oldest first, in one round trip; none where there is no ledger.

    Raises:
        LedgerAccessError: the ledger may not be read.
        BrokenLedgerError: a part of it is missing.
    """
    try:
        return rows_of(connection.execute(ledger_sql.READ).fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        require_none(connection, error)
        return []
    except psycopg.errors.InsufficientPrivilege as error:
        raise access_error(error, connection) from None


def standing_of(records: Sequence[Any]) -> tuple[list[LedgerRow], bool]:
    """Return what ledger_sql.READ_STANDING gave as rows, and whether the ledger is as it was written."""
    rows = [
        LedgerRow._make((*record[1:], None, _time(finished), *[""] * 6))
        for *record, finished in records
        if record[1] is not None
    ]
    return rows, bool(records and records[0][0])


def refresh(connection: psycopg.Connection[Any]) -> None:
    """Take the fingerprint anew after its chain was followed: another major of the server may hash differently."""
    connection.execute(ledger_sql.REFRESH)


def rows_of(records: Sequence[Any]) -> list[LedgerRow]:
    """Return what ledger_sql.READ gave as rows."""
    return [LedgerRow._make((*record[:9], _time(record[9]), _time(record[10]), *record[11:])) for record in records]


def _time(seconds: float | None) -> datetime | None:
    """Return when a row was begun or finished; None where no run can have written it: the row's hash tells that."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError):
        return None


def ensure(connection: psycopg.Connection[Any]) -> None:
    """Make the ledger where there is none; called under the lock.

    Raises:
        LedgerAccessError: the role may not make a schema here.
    """
    try:
        connection.execute(ledger_sql.CREATE)
    except psycopg.errors.InsufficientPrivilege as error:
        raise access_error(error, connection) from None


def require_none(connection: psycopg.Connection[Any], error: psycopg.Error) -> None:
    """Return where there is no ledger, after a read that failed for want of something.

    Args:
        connection: Outside a transaction.
        error: What the read failed with.

    Raises:
        BrokenLedgerError: one of its two tables is there without the other, or lacks a column.
    """
    from infra.migrations.errors import BrokenLedgerError

    if isinstance(error, psycopg.errors.UndefinedColumn):
        raise BrokenLedgerError("chatdb.ledger or chatdb.head", server_message(error), lost="what is missing")
    there = {name for (name,) in connection.execute(_THERE, [list(_TABLES)]).fetchall()}
    if len(there) == 1:
        (gone,), (left,) = {*_TABLES} - there, there
        raise BrokenLedgerError(gone, f"the table is not there, and {left} is", lost="the table")


def access_error(error: psycopg.Error, connection: psycopg.Connection[Any]) -> LedgerAccessError:
    """Return the error for a role that may not use the ledger.

    Args:
        error: What the role was refused with.
        connection: As that role, outside a transaction.
    """
    hint = "Connect as the role that owns the database (or act as it), or as the one that migrated it before."
    owned = connection.execute(_OWNER, [SCHEMA]).fetchone()
    if owned:
        owner, role = owned
        things = (f"SCHEMA {SCHEMA}", *(f"TABLE {table}" for table in _TABLES))
        handed = " ".join(f"ALTER {thing} OWNER TO {role};" for thing in things)
        hint = f"Connect as {owner}, whose it is (or act as it); where {role} is to migrate, as an administrator: "
        hint += handed
    return LedgerAccessError(
        "the ledger chatdb.ledger cannot be used",
        detail=server_message(error),
        hint=hint,
        state="Nothing was changed.",
        sqlstate=error.sqlstate,
    )


def append(migration: Migration, direction: str, **signature: str) -> str:
    """Return the statement that adds a finished row, for a transaction that holds the migration's statements too.

    Args:
        migration: The file.
        direction: "up", "down" or "baseline".
        signature: `actor`, `stack` and `tool_version`, each empty where it is left out.
    """
    return _appended(ledger_sql.APPEND, migration, direction, **signature)


def append_prepared(migration: Migration, direction: str, **signature: str) -> str:
    """Return the same for a session that has run ledger_sql.PREPARE."""
    return _appended(ledger_sql.EXECUTE, migration, direction, **signature)


def _appended(
    template: str, migration: Migration, direction: str, *, actor: str = "", stack: str = "", tool_version: str = ""
) -> str:
    return _compose(
        template,
        version=migration.version,
        name=migration.name,
        checksum=migration.checksum,
        direction=direction,
        actor=actor,
        stack=stack,
        tool_version=tool_version,
    )


def begin(
    migration: Migration, direction: str, total: int, *, actor: str = "", stack: str = "", tool_version: str = ""
) -> str:
    """Return the statement that adds the unfinished row of a file that runs statement by statement."""
    return _compose(
        ledger_sql.BEGIN,
        version=migration.version,
        name=migration.name,
        checksum=migration.checksum,
        direction=direction,
        total=total,
        actor=actor,
        stack=stack,
        tool_version=tool_version,
    )


def turn(migration: Migration, total: int, *, actor: str = "", stack: str = "", tool_version: str = "") -> str:
    """Return the statement that makes the unfinished row of a file's up section that of its down section."""
    return _compose(
        ledger_sql.TURN,
        version=migration.version,
        total=total,
        actor=actor,
        stack=stack,
        tool_version=tool_version,
    )


def progress(
    migration: Migration, direction: str, *, begun: int, done: int, total: int, digest: str, error: str = ""
) -> str:
    """Return the statement that records how far an unfinished row has come.

    Args:
        migration: The file as it is now: what is not done yet may have been mended since.
        direction: "up" or "down".
        begun: Statements that were begun.
        done: Statements that are done.
        total: Statements in the section.
        digest: Of the statements that are done.
        error: What the statement in hand failed with.
    """
    return _compose(
        ledger_sql.PROGRESS,
        version=migration.version,
        name=migration.name,
        checksum=migration.checksum,
        direction=direction,
        begun=begun,
        done=done,
        total=total,
        digest=digest,
        error=error,
    )


def finish(migration: Migration, direction: str) -> str:
    """Return the statement that closes an unfinished row and chains it."""
    return _compose(ledger_sql.FINISH, version=migration.version, direction=direction)


def _compose(template: str, **values: str | int) -> str:
    return template.format(**{name: _literal(value) for name, value in values.items()})


@functools.lru_cache(maxsize=256)  # most values are those of the file before
def _literal(value: str | int) -> str:
    return sql.Literal(value).as_string()
