"""Connections of the postgresql provider, and what an operation on them needs: retries, memberships for its length.

One operation at a time: each takes milliseconds, and parallel changes of one catalogue row fail in PostgreSQL. Edge;
used by every resource type of this package.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from infra.connection import Target, connect, explained
from infra.errors import ChatdbError, DatabaseError

Connection = psycopg.Connection[Any]
T = TypeVar("T")

ATTEMPTS = 8
"""How often an operation is tried that another session gets in the way of."""
CATALOGUES = {
    "database": ("pg_database", "datname"),
    "role": ("pg_roles", "rolname"),
    "schema": ("pg_namespace", "nspname"),
}


class AlreadyExistsError(ChatdbError):
    """An object of the name stands already, and this stack did not make it."""


class Session:
    """The connections of one provider, one per database.

    Args:
        config: Inputs of the provider resource; numbers and booleans may be JSON text.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        def setting(name: str, variable: str, default: Any) -> Any:
            given = config.get(name)
            return os.environ.get(variable, default) if given in (None, "") else given

        self.target = Target(
            host=setting("host", "PGHOST", "localhost"),
            port=int(setting("port", "PGPORT", 5432)),
            database=setting("database", "PGDATABASE", "postgres"),
            user=setting("username", "PGUSER", "postgres"),
            password=setting("password", "PGPASSWORD", ""),
            sslmode=setting("sslmode", "PGSSLMODE", "prefer"),
            sslrootcert=config.get("sslrootcert") or "",
            connect_timeout_s=int(setting("connectTimeout", "PGCONNECT_TIMEOUT", 180)),
        )
        self.superuser = str(setting("superuser", "PGSUPERUSER", "true")).lower() != "false"
        self._connections: dict[str, Connection] = {}
        self._lock = threading.RLock()

    def run(
        self, what: str, work: Callable[[Connection], T], *, database: str = "", atomic: bool = True, held: str = ""
    ) -> T:
        """Do some work on a database and return its result; again where another session got in the way.

        Args:
            what: What could not be done, where it fails.
            work: The statements.
            database: Where; the provider's own database where empty.
            atomic: Whether they are one transaction.
            held: What to do where something still depends on what is to go.
        """
        target = self.target.to(database=database or self.target.database)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._lock, explained(what, target):
                    connection = self._connections.get(target.database)
                    if connection is None or connection.closed:
                        connection = self._connections[target.database] = connect(target)
                    with connection.transaction() if atomic else contextlib.nullcontext():
                        return work(connection)
            except DatabaseError as error:
                if held and error.sqlstate == "2BP01":
                    error.hint = held
                concurrent = error.sqlstate == "XX000" and "concurrently" in error.detail
                if attempt == ATTEMPTS or not (concurrent or error.sqlstate in {"40001", "40P01", "55006"}):
                    raise
            time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311 - jitter, no secret
        raise AssertionError

    def has(self, kind: str, name: str, *, database: str = "") -> bool:
        """Tell whether a database, role or schema stands."""
        query = sql.SQL("SELECT FROM {} WHERE {} = %s").format(*map(sql.Identifier, CATALOGUES[kind]))
        return (
            self.run(f"cannot look for the {kind} {name}", lambda c: one(c, query, [name]), database=database)
            is not None
        )

    def refuse(self, kind: str, name: str) -> AlreadyExistsError:
        """Return the error for a name that is taken."""
        return AlreadyExistsError(
            f"the {kind} {name} exists already",
            detail=f"{self.target.host}:{self.target.port} has one that this stack did not make",
            hint=f"Choose another name; or, where nobody needs it: DROP {kind.upper()} {name}.",
            state="It was left as it is.",
            sqlstate="42710",
        )

    def forget(self, database: str) -> None:
        """Close the connection to a database, so that it can be dropped or renamed."""
        with self._lock:
            if connection := self._connections.pop(database, None):
                connection.close()

    def close(self) -> None:
        """Close every connection."""
        for database in list(self._connections):
            self.forget(database)


def one(connection: Connection, query: str | sql.Composed, parameters: Any = None) -> dict[str, Any] | None:
    """Return a query's only row under its column names; None where there is none."""
    return connection.cursor(row_factory=dict_row).execute(query, parameters).fetchone()


def do(connection: Connection, statement: str, *names: str) -> None:
    """Run a statement with names in place of its braces."""
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextlib.contextmanager
def acting_for(connection: Connection, roles: Sequence[str | None]) -> Iterator[None]:
    """Hold the privileges of some roles for the length of the block; what was not held before is given back.

    A managed server's administrator needs it: who makes a role may administer it but, from PostgreSQL 16 on, not act as
    it. A superuser needs nothing, and nobody but one may act as one. `pg_database_owner` stands for the database's.

    Source: https://www.postgresql.org/docs/18/role-membership.html
    """
    modern = connection.info.server_version >= 160000
    own = "inherit_option, set_option" if modern else "true, true"
    rows = connection.execute(
        f"""
        SELECT r.rolname, (SELECT ARRAY[{own}] FROM pg_auth_members m
                           WHERE m.roleid = r.oid AND m.member = me.oid AND m.grantor = me.oid)
        FROM pg_roles r, pg_roles me
        WHERE me.rolname = current_user AND NOT me.rolsuper AND NOT r.rolsuper AND r.rolname <> 'pg_database_owner'
          AND (r.rolname = ANY(%(roles)s) OR 'pg_database_owner' = ANY(%(roles)s)
               AND r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))
          AND NOT (pg_has_role(me.oid, r.oid, %(use)s) AND pg_has_role(me.oid, r.oid, %(set)s))
        """,  # noqa: S608 - one of two texts above
        {"roles": list(roles), "use": "USAGE" if modern else "MEMBER", "set": "SET" if modern else "MEMBER"},
    ).fetchall()
    for role, _ in rows:
        do(connection, "GRANT {} TO CURRENT_USER" + " WITH INHERIT TRUE, SET TRUE" * modern, role)
    try:
        yield
    finally:
        if connection.info.transaction_status != TransactionStatus.INERROR:  # a rollback gives them back
            for role, before in rows:
                if before and modern:
                    do(connection, f"GRANT {{}} TO CURRENT_USER WITH INHERIT {before[0]}, SET {before[1]}", role)
                else:
                    do(connection, "REVOKE {} FROM CURRENT_USER", role)
