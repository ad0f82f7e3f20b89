"""Read a whole database in one snapshot that pg_dump reads too. An edge.

Called by `taking`, `restoring` and `infra.teardown`. The database is live: what is counted must be what is dumped.

Source: https://www.postgresql.org/docs/18/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from infra.backup import contents
from infra.backup.manifest import Contents
from infra.backup.row_security import all_rows_readable, alone
from infra.connection import Target, connect, explained
from infra.migrations import pooling

TRANSACTION_TIMEOUT_SINCE = 170_000  # PostgreSQL 17


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A session that sees all rows of a database as they were at one moment.

    Attributes:
        connection: The session, in a transaction that reads.
        snapshot: Name of its snapshot, for pg_dump.
    """

    connection: psycopg.Connection[Any]
    snapshot: str


@contextlib.contextmanager
def whole(target: Target) -> Iterator[Reading]:
    """Read a database for the length of the block.

    Args:
        target: Login and role: whoever sees every row, or the owner.

    Raises:
        BackupError: rows would be hidden from that role, or another backup is going on.
        ConnectionFailedError, DatabaseError: it cannot be reached or read.
    """
    state = "The database is as it was."
    with (
        explained(f"{target.label} cannot be read", target, state=state),
        alone(target) as aside,
        connect(target) as connection,
    ):
        pooling.refuse_pooled(connection, target)
        settings = ["statement_timeout", "idle_in_transaction_session_timeout"]
        if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            settings.append("transaction_timeout")
        for name in settings:
            connection.execute("SELECT set_config(%s, '0', false)", [name])
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        with all_rows_readable(target, aside, connection):
            yield Reading(connection=connection, snapshot=str(row[0]) if row else "")
        connection.execute("ROLLBACK")


def read(target: Target) -> Contents:
    """Return what is in a database now; as `whole`."""
    with whole(target) as reading:
        return contents.read(reading.connection)


def reader_of(administrator: Target, *, database: str, owner: str) -> Target:
    """Return who reads a database whole: the administrator, as the owner where row security would bind it."""
    query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    with connect(administrator) as connection:
        sees_all = connection.execute(query).fetchone() == (True,)
    return administrator.to(database=database, role="" if sees_all else owner)
