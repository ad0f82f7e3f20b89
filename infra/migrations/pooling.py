"""Find out whether a pooler in transaction mode stands between us and the server. An edge.

Called by `runner` after it has taken the lock, and only then: with nothing to do it does not matter. A pooler hands out
cancel keys of its own, so a process id that is not the server's is the sign to look closer; many proxies that keep one
server session per client do the same. The proof is a second client: while it holds a transaction open, a pooled first
client has lost its session to it, or is given another one.

Source: https://www.pgbouncer.org/features.html (transaction pooling breaks session features)
"""

from __future__ import annotations

from typing import Any

import psycopg

from infra.connection import Target, connect
from infra.migrations import lock
from infra.migrations.failures import PooledConnectionError

_PROBES = 3
_SESSION = """\
SELECT pg_backend_pid(), EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    AND objsubid = 1 AND granted AND classid = %s::bigint::oid AND objid = %s::bigint::oid)"""


def refuse_pooled(connection: psycopg.Connection[Any], target: Target) -> None:
    """Make sure that this connection is one session of the server.

    Raises:
        PooledConnectionError: its transactions run in different sessions, or its session is shared.
    """
    pid, holds = _session(connection)
    if not holds:
        raise PooledConnectionError(target.label)
    if pid == connection.info.backend_pid:
        return
    others: list[psycopg.Connection[Any]] = []
    try:
        for _ in range(_PROBES):
            other = connect(target.to(role="", application_name="chatdb probe"))
            others.append(other)
            other.execute("BEGIN")
            if _session(other)[0] == pid or _session(connection) != (pid, True):
                raise PooledConnectionError(target.label)
    finally:
        for other in others:
            other.close()


def _session(connection: psycopg.Connection[Any]) -> tuple[int, bool]:
    """Return the server's process id for this transaction, and whether that session holds the lock."""
    row = connection.execute(_SESSION, (lock.KEY >> 32 & 0xFFFFFFFF, lock.KEY & 0xFFFFFFFF)).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM gives one row
    return row[0], row[1]
