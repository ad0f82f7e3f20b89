"""Find out whether a pooler in transaction mode stands between us and the server. An edge.

Called by `run` before it takes the lock, and only then: with nothing to do it does not matter, and a lock taken
through a pooler would stay in a session that we never see again. A pooler hands out cancel keys of its own, so a
process id that is not the server's is the sign to look closer; many proxies that keep one session per client do the
same. The proof is a second client: while it holds a transaction open, a pooled first client has lost its session to
it, or gets another one.

Source: https://www.pgbouncer.org/features.html (transaction pooling breaks session features)
"""

from __future__ import annotations

from typing import Any

import psycopg

from infra.connection import Target, connect
from infra.migrations.failures import PooledConnectionError

_PROBES = 3


def refuse_pooled(connection: psycopg.Connection[Any], target: Target) -> None:
    """Make sure that this connection is one session of the server.

    Raises:
        PooledConnectionError: its transactions run in different sessions, or its session is shared.
    """
    pid = _pid(connection)
    if pid == connection.info.backend_pid:
        return
    others: list[psycopg.Connection[Any]] = []
    try:
        for _ in range(_PROBES):
            other = connect(target.to(role="", application_name="chatdb probe"))
            others.append(other)
            other.execute("BEGIN")
            if _pid(other) == pid or _pid(connection) != pid:
                raise PooledConnectionError(target.label)
    finally:
        for other in others:
            other.close()


def _pid(connection: psycopg.Connection[Any]) -> int:
    """Return the server's process id for this transaction."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
