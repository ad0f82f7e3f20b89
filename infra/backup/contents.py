"""Read all that a backup must hold: rows, sequences, shape, rights, ledger. An edge: reads, never writes.

Called by `taking` in the dump's own snapshot, by `restoring` in what was restored, and by `infra.teardown`. Rows that
row security would hide are an error here, never a smaller number: `row_security` is off, which makes PostgreSQL say so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from infra.access import reading
from infra.access.matrix import Thing
from infra.backup.manifest import OWNS, THE_DATABASE, Contents, Right
from infra.migrations import catalogue, ledger, planner
from infra.migrations.errors import BrokenLedgerError
from infra.migrations.model import LedgerRow

# The text of a row must not depend on who reads it.
_SAME_TEXT = (
    "SET LOCAL row_security = off; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; "
    "SET LOCAL intervalstyle = 'postgres'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; "
    "SET LOCAL search_path = ''"
)
_SCHEMAS = """
SELECT nspname::text FROM pg_catalog.pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1
"""
_TABLES = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2
"""
_COUNT = """
SELECT count(*), coalesce(sum(hashtextextended(chatdb_row::text, 0)::numeric), 0)::text FROM ONLY {} AS chatdb_row
"""
# Who may not read a sequence cannot dump it either.
_SEQUENCES = """
SELECT name, (reached * direction)::bigint FROM (
    SELECT n.nspname || '.' || c.relname AS name, sign(s.seqincrement) AS direction,
           CASE WHEN c.relpersistence <> 't' THEN pg_sequence_last_value(s.seqrelid) END AS reached
    FROM pg_catalog.pg_sequence AS s
    JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
) AS sequence WHERE reached IS NOT NULL ORDER BY 1
"""
# Rights on these are the server's: a dump of one database does not hold them.
_OF_THE_SERVER = ("role", "attributes", "tablespace", "parameter")


def read(connection: psycopg.Connection[Any]) -> Contents:
    """Return what is in a database.

    Args:
        connection: As a role that sees every row; in a transaction, all is read in its snapshot.

    Raises:
        psycopg.errors.InsufficientPrivilege: a table may not be read, or row security would hide rows of it.
    """
    with _alike(connection):
        tables = connection.execute(_TABLES).fetchall()
        counted = {f"{schema}.{name}": _count(connection, schema, name) for schema, name in tables}
        schemas = [name for (name,) in connection.execute(_SCHEMAS).fetchall()]
        shape = {schema: catalogue.read(connection, schema=schema) for schema in schemas}
        rows = _ledger(connection)
        access = _access(connection)
        reached = sequences(connection)
    standing = _standing(rows)
    version = max(standing, default=0)
    return Contents(
        version=f"{version:04d}",
        digest=planner.digest([standing[key] for key in sorted(standing)]),
        ledger_hash=next((row.chained_hash for row in reversed(rows) if row.finished_at is not None), ""),
        ledger_rows=len(rows),
        ledger_sound=_is_sound(rows),
        rows={table: count for table, (count, _) in counted.items()},
        sums={table: total for table, (_, total) in counted.items()},
        catalogue=shape,
        access=access,
        sequences=reached,
    )


def sequences(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return how far each sequence that has given a number has come; one that counts down, with the other sign."""
    return dict(connection.execute(_SEQUENCES).fetchall())


def owner_of(connection: psycopg.Connection[Any]) -> str:
    """Return the role that owns the database."""
    query = "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()"
    row = connection.execute(query).fetchone()
    return str(row[0]) if row else ""


@contextlib.contextmanager
def _alike(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Read every value as the same text, whatever the session is set to; the settings end with the block."""
    with connection.transaction(force_rollback=True):
        connection.execute(_SAME_TEXT.encode())
        yield


def _count(connection: psycopg.Connection[Any], schema: str, name: str) -> tuple[int, str]:
    row = connection.execute(sql.SQL(_COUNT).format(sql.Identifier(schema, name))).fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "0")


def _ledger(connection: psycopg.Connection[Any]) -> list[LedgerRow]:
    # Looked for first: an error would end the transaction that everything is read in.
    found = connection.execute("SELECT to_regclass('chatdb.ledger') IS NOT NULL").fetchone()
    return ledger.read(connection) if found and found[0] else []


def _standing(rows: list[LedgerRow]) -> dict[int, LedgerRow]:
    standing: dict[int, LedgerRow] = {}
    for row in rows:
        if row.finished_at is None:
            continue
        if row.direction == "down":
            standing.pop(row.version, None)
        else:
            standing[row.version] = row
    return standing


def _is_sound(rows: list[LedgerRow]) -> bool:
    try:
        planner.check_chain(rows)
    except BrokenLedgerError:
        return False
    return True


def _access(connection: psycopg.Connection[Any]) -> tuple[Right, ...]:
    """Return who owns what and may do what, but for what the server's own objects give."""
    found = reading.read(connection, owner=owner_of(connection))
    owners = [
        (thing.owner, OWNS, _named(thing))
        for thing in found.things
        if thing.kind not in _OF_THE_SERVER and not thing.system
    ]
    rights = [
        (grant.grantee, grant.privilege, _named(grant.thing))
        for grant in found.grants
        if grant.thing.kind not in _OF_THE_SERVER
    ]
    return tuple(sorted({*owners, *rights}))


def _named(thing: Thing) -> str:
    # It has another name where it is restored.
    if thing.kind == "database":
        return THE_DATABASE
    return f"{thing.kind} {thing.schema}.{thing.name}" if thing.schema else f"{thing.kind} {thing.name}"
