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
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from infra.aws import Access
from infra.connection import Target, connect, explained
from infra.errors import DatabaseError
from infra.products import in_project

Connection = psycopg.Connection[Any]
T = TypeVar("T")

# How often an operation is tried that another session gets in the way of.
ATTEMPTS = 8
# For each input of the provider resource: the field of `Target`, the variable and the value that stand in for it.
CONFIG: Mapping[str, tuple[str, str, str | int]] = {
    "host": ("host", "PGHOST", "localhost"),
    "port": ("port", "PGPORT", 5432),
    "database": ("database", "PGDATABASE", "postgres"),
    "username": ("user", "PGUSER", "postgres"),
    "password": ("password", "PGPASSWORD", ""),
    "sslmode": ("sslmode", "PGSSLMODE", "prefer"),
    "sslrootcert": ("sslrootcert", "PGSSLROOTCERT", ""),
    "connectTimeout": ("connect_timeout_s", "PGCONNECT_TIMEOUT", 180),
}
# The inputs by which the administrator logs in with RDS IAM tokens: the switch, and the fields of `Access`.
IAM = "awsRdsIamAuth"
IAM_CONFIG: Mapping[str, str] = {
    "awsRdsIamRegion": "region",
    "awsRdsIamProfile": "profile",
    "awsRdsIamProviderRoleArn": "role",
}


class Session:
    """The connections of one provider, one per database.

    Args:
        config: Inputs of the provider resource; numbers and booleans may be JSON text.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        fields: dict[str, Any] = {}
        for name, (field, variable, default) in CONFIG.items():
            fields[field] = type(default)(config.get(name) or os.environ.get(variable) or default)
        fields["sslrootcert"] = in_project(fields["sslrootcert"])
        if fields["sslmode"].startswith("verify-") and not fields["sslrootcert"]:
            fields["sslrootcert"] = "system"  # as the official plugin does it
        if str(config.get(IAM)).lower() == "true":
            fields["iam"] = Access.of({field: config.get(name) for name, field in IAM_CONFIG.items()})
        self.target = Target(**fields)
        self._connections: dict[str, Connection] = {}
        self._lock = threading.RLock()

    def run(self, what: str, work: Callable[[Connection], T], *, database: str | None, atomic: bool, held: str) -> T:
        """Do some work on a database and return its result; again where another session got in the way.

        Args:
            what: What could not be done, where it fails.
            work: The statements.
            database: Where; the provider's own database where None.
            atomic: Whether they are one transaction.
            held: What to do where something still depends on what is to go; empty where nothing goes.
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

    def forget(self, database: str) -> None:
        """Close the connection to a database, so that it can be dropped or renamed."""
        with self._lock:
            if connection := self._connections.pop(database, None):
                connection.close()

    def close(self) -> None:
        """Close every connection."""
        for database in list(self._connections):
            self.forget(database)


def one(connection: Connection, query: str, parameters: Any) -> dict[str, Any] | None:
    """Return a query's only row under its column names; None where there is none."""
    return connection.cursor(row_factory=dict_row).execute(query, parameters).fetchone()


def do(connection: Connection, statement: str, *names: str) -> None:
    """Run a statement with names in place of its braces."""
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextlib.contextmanager
def acting_for(connection: Connection, *roles: str | None) -> Iterator[None]:
    """Hold the privileges of some roles for the length of the block; what was not held before is given back.

    A managed server's administrator needs it: who makes a role may administer it but, from PostgreSQL 16 on, not act as
    it. A superuser needs nothing, and nobody but one may act as one. `pg_database_owner` stands for the database's.

    Source: https://www.postgresql.org/docs/18/role-membership.html
    """
    modern = connection.info.server_version >= 160000
    # What the administrator gave itself is put back as it was; through JSON, as older servers have no such columns.
    query = """
        SELECT rolname, coalesce((
            SELECT format('GRANT {} TO CURRENT_USER WITH INHERIT %%s, SET %%s', m->>'inherit_option', m->>'set_option')
            FROM pg_auth_members own, to_jsonb(own) m
            WHERE roleid = r.oid AND pg_get_userbyid(member) = current_user AND grantor = member
        ), 'REVOKE {} FROM CURRENT_USER')
        FROM pg_roles r
        WHERE NOT rolsuper AND rolname <> 'pg_database_owner'
          AND (rolname = ANY(%(roles)s) OR 'pg_database_owner' = ANY(%(roles)s)
               AND oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))
          AND false IN (SELECT pg_has_role(r.oid, may) FROM unnest(%(may)s::text[]) may)
        """
    may = ["USAGE", "SET"] if modern else ["MEMBER"]
    rows = connection.execute(query, {"roles": list(roles), "may": may}).fetchall()
    given: list[tuple[str, str]] = []
    try:
        for role, undo in rows:
            do(connection, "GRANT {} TO CURRENT_USER" + " WITH INHERIT TRUE, SET TRUE" * modern, role)
            given.append((role, undo))
        yield
    finally:
        with contextlib.suppress(psycopg.errors.InFailedSqlTransaction):  # a rollback gives them back
            for role, undo in given:
                do(connection, undo, role)
