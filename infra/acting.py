"""Hold the privileges of some roles for a moment. An edge: a few statements on the administrator's connection.

Called where something may only be done as a role that the administrator made: by the embedded provider, which changes
what such a role owns, and by `infra.logins`, which ends its sessions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql


@contextlib.contextmanager
def acting_for(connection: psycopg.Connection[Any], *roles: str | None) -> Iterator[None]:
    """Hold the privileges of some roles for the length of the block; what was not held before is given back.

    A managed server's administrator needs it: who makes a role may administer it but, from PostgreSQL 16 on, not act as
    it. A superuser needs nothing, and nobody but one may act as one. `pg_database_owner` stands for the database's.

    Args:
        connection: The administrator's.
        roles: Names; None and those that do not exist are passed over.

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
    given: list[sql.Composed] = []
    try:
        for role, undo in rows:
            give = "GRANT {} TO CURRENT_USER" + " WITH INHERIT TRUE, SET TRUE" * modern
            connection.execute(sql.SQL(give).format(sql.Identifier(role)))
            given.append(sql.SQL(undo).format(sql.Identifier(role)))
        yield
    finally:
        with contextlib.suppress(psycopg.errors.InFailedSqlTransaction):  # a rollback gives them back
            for undo in given:
                connection.execute(undo)
