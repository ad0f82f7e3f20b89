"""Who is connected, for people: pid, role, application, since when. An edge: one query, which any role may run.

Called where sessions are in the way of something: dropping a database, making a password invalid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from infra.errors import DatabaseError

QUERY = """
SELECT pid, usename::text, datname::text, coalesce(application_name, ''),
       coalesce(to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), '')
FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND usename IS NOT NULL AND (datname = ANY (%(databases)s) OR usename = ANY (%(roles)s))
ORDER BY datname, usename, pid
"""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One session of a client.

    Attributes:
        pid: Its process on the server.
        role: Who logged in.
        database: Where.
        application: What it calls itself; empty where it says nothing.
        since: When it connected; empty where that is not for the asking role to see.
    """

    pid: int
    role: str
    database: str
    application: str
    since: str

    def __str__(self) -> str:
        parts = (f"pid {self.pid}", self.application, self.since and f"since {self.since}")
        return f"{self.role} in {self.database}: {', '.join(part for part in parts if part)}"


def read(
    connection: psycopg.Connection[Any], *, databases: Sequence[str] = (), roles: Sequence[str] = ()
) -> list[Session]:
    """Return the sessions in some databases, or of some roles, but for this one."""
    rows = connection.execute(QUERY, {"databases": list(databases), "roles": list(roles)}).fetchall()
    return [
        Session(pid=pid, role=role, database=database or "no database", application=application, since=since)
        for pid, role, database, application, since in rows
    ]


def counted(sessions: Sequence[Session], verb: str, verbs: str) -> str:
    """Return how many there are with what they do: `one session uses`, `3 sessions use`."""
    return f"one session {verb}" if len(sessions) == 1 else f"{len(sessions)} sessions {verbs}"


def listed(sessions: Sequence[Session]) -> str:
    """Return a line for each, as the detail of an error."""
    return "".join(f"\n  {session}" for session in sessions)


def in_the_way(database: str, sessions: Sequence[Session], *, why: str, sqlstate: str | None = None) -> DatabaseError:
    """Return the error for a database that cannot be dropped because of who is connected to it.

    Args:
        database: Its name.
        sessions: Who is connected, one or more.
        why: Why they were not ended.
        sqlstate: The SQLSTATE with which the server said so.
    """
    return DatabaseError(
        f"cannot drop the database {database}: {counted(sessions, 'is', 'are')} connected",
        detail=why + listed(sessions),
        hint=f"Let them end, or as who may: SELECT pg_terminate_backend({sessions[0].pid}); then run it again.",
        state=f"{database} stands as it was, open to its logins.",
        sqlstate=sqlstate,
    )
