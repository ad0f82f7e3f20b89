"""Close a product's logins and open them again, whoever is connected. An edge; called by `infra.teardown`.

Closed, a login lets nobody in, and its sessions are ended: what is counted afterwards is what there will be.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from infra import sessions
from infra.acting import acting_for
from infra.connection import Target, connect, explained
from infra.credentials import scram_verifier
from infra.errors import ChatdbError
from infra.sessions import Session

ENDING_LIMIT_S = 10.0
"""How long sessions may take to end, in seconds."""
_SESSIONS = "SELECT pid, usename::text FROM pg_stat_activity WHERE usename = ANY(%s) AND pid <> pg_backend_pid()"


def close(administrator: Target, logins: Sequence[str]) -> None:
    """Let nobody log in any more, and end the sessions that there are.

    Args:
        administrator: The server as its administrator.
        logins: The roles; one that is gone is left out.

    Raises:
        ChatdbError: sessions go on; they are named, and the logins are open again.
    """
    with _told(administrator, "close"), connect(administrator) as connection:
        there = _standing(connection, logins)
        for login in there:
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login)))
        left = _end_sessions(connection, there)
    if left:
        reopen(administrator, dict.fromkeys(there, ""))
        named = ", ".join(f"pid {pid} of {login}" for pid, login in left)
        raise ChatdbError(
            "sessions of the product's logins go on",
            detail=named,
            hint="End them: SELECT pg_terminate_backend(pid); then run the same command again.",
            state="The logins are open as before; no data was touched.",
        )


def clear(administrator: Target, database: str, logins: Sequence[str]) -> None:
    """End every session in a database that is to be dropped, whoever's, and let its logins begin no more.

    The Pulumi CLI's provider would close the database first, and leave it closed where it may not end one.

    Raises:
        ChatdbError: others' sessions may not be ended; they are named, and nothing was closed.
    """
    with _told(administrator, "end the sessions of"), connect(administrator) as connection:
        left = _end_others(connection, database, logins)
    if left:
        raise sessions.in_the_way(database, left, why=f"{administrator.user} may not end what others have there:")
    close(administrator, logins)


def reopen(administrator: Target, logins: Mapping[str, str]) -> None:
    """Let the logins in again.

    Args:
        administrator: The server as its administrator.
        logins: For each role the verifier of its password; empty to leave the password as it is.
    """
    with _told(administrator, "open"), connect(administrator) as connection:
        for login in _standing(connection, list(logins)):
            statement = sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(login))
            if verifier := logins[login]:
                statement += sql.SQL(" PASSWORD {}").format(verifier)
            connection.execute(statement)


def lock_out(administrator: Target, logins: Sequence[str]) -> None:
    """Give closed logins passwords that nobody knows, so that opening one by hand lets nobody old in."""
    with _told(administrator, "change the passwords of"), connect(administrator) as connection:
        for login in _standing(connection, logins):
            verifier = scram_verifier(secrets.token_urlsafe(24), salt=secrets.token_bytes(16))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), verifier))


def _end_others(connection: psycopg.Connection[Any], database: str, logins: Sequence[str]) -> list[Session]:
    """End the sessions of others than some roles in a database, and return those that may not be ended or go on."""
    refused: set[int] = set()
    deadline = time.monotonic() + ENDING_LIMIT_S
    while left := [one for one in sessions.read(connection, databases=[database]) if one.role not in logins]:
        if time.monotonic() > deadline or {one.pid for one in left} <= refused:
            return left
        for one in left:
            try:
                with connection.transaction(), acting_for(connection, one.role):
                    connection.execute("SELECT pg_terminate_backend(%s)", [one.pid])
            except psycopg.errors.InsufficientPrivilege:
                refused.add(one.pid)
        time.sleep(0.05)
    return []


def _told(administrator: Target, verb: str) -> Any:
    return explained(f"cannot {verb} the product's logins", administrator, state="No data was touched.")


def _standing(connection: psycopg.Connection[Any], logins: Sequence[str]) -> list[str]:
    rows = connection.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)", [list(logins)]).fetchall()
    return sorted(name for (name,) in rows)


def _end_sessions(connection: psycopg.Connection[Any], logins: list[str]) -> list[tuple[int, str]]:
    """End the sessions of some roles and return those that go on after a while."""
    deadline = time.monotonic() + ENDING_LIMIT_S
    while left := connection.execute(_SESSIONS, [logins]).fetchall():
        if time.monotonic() > deadline:
            return left
        # Who may act as a role may end its sessions; an administrator who made it may give itself that, for a moment.
        with connection.transaction(), acting_for(connection, *sorted({login for _, login in left})):
            connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [[p for p, _ in left]])
        time.sleep(0.05)
    return []
