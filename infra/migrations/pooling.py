"""Find out whether a pooler in transaction mode stands between us and the server. An edge.

Called by `run` before it takes the lock, and only then: with nothing to do it does not matter, and a lock taken
through a pooler would stay in a session that we never see again. A pooler hands out cancel keys of its own, so a
process id that is not the server's is the sign to look closer; a pooler in session mode and many proxies do the same.
The proof is a second client: while it holds a transaction open, a client pooled by transactions has lost its session
to it, or gets another one. Where the second client gets no session at all, ours is not given away between transactions.

Source: https://www.pgbouncer.org/features.html (transaction pooling breaks session features)
"""

from __future__ import annotations

import select
import time
from typing import Any

import psycopg

from infra.connection import Target, connect
from infra.migrations.failures import PooledConnectionError

PATIENCE_S = 1.0  # a session that is free is given at once; judgement
_PROBES = 3


def refuse_pooled(connection: psycopg.Connection[Any], target: Target) -> int:
    """Make sure that this connection is one session of the server, and return its process id there.

    Raises:
        PooledConnectionError: its transactions run in different sessions, or its session is shared.
    """
    pid = _pid(connection)
    if pid == connection.info.backend_pid:
        return pid
    others: list[psycopg.Connection[Any]] = []
    try:
        for _ in range(_PROBES):
            other = connect(target.to(role="", application_name="chatdb probe"))
            others.append(other)
            ask(other, "BEGIN")
            if answered(other, within_s=PATIENCE_S):
                lost = _pid(other) == pid or _pid(connection) != pid
            else:
                lost = _pid(connection) != pid
                if not lost and not answered(other, within_s=0):
                    return pid  # poolers serve in turn: what we asked after it was answered before it
            if lost:
                raise PooledConnectionError(target.label)
    finally:
        for other in others:
            other.close()
    return pid


def ask(connection: psycopg.Connection[Any], statement: str) -> None:
    """Send a statement that gives no rows, without waiting for the answer."""
    connection.pgconn.send_query(statement.encode())
    connection.pgconn.flush()


def answered(connection: psycopg.Connection[Any], *, within_s: float) -> bool:
    """Return whether the answer to `ask` comes in time; until it has come the connection is of no use.

    A pooler lets a client wait for as long as it has no session to give.
    """
    pgconn = connection.pgconn
    until = time.monotonic() + within_s
    while pgconn.is_busy():
        ready, _, _ = select.select([pgconn.socket], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        pgconn.consume_input()
    while pgconn.get_result() is not None:
        pass
    return True


def _pid(connection: psycopg.Connection[Any]) -> int:
    """Return the server's process id for this transaction."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
