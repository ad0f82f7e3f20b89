"""The resource types Role and GrantRole: roles, their settings, their memberships. Edge.

A plain password is turned into a SCRAM verifier here, so that none reaches the server, its log or an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from psycopg import sql

from embedded.engine.postgresql.noun import Noun, Property, Values
from embedded.engine.postgresql.session import Connection, Session, acting_for, do, one

FLAGS = {
    "superuser": "SUPERUSER",
    "createDatabase": "CREATEDB",
    "createRole": "CREATEROLE",
    "inherit": "INHERIT",
    "login": "LOGIN",
    "replication": "REPLICATION",
    "bypassRowLevelSecurity": "BYPASSRLS",
}
SETTINGS = {
    "searchPaths": "search_path",
    "statementTimeout": "statement_timeout",
    "idleInTransactionSessionTimeout": "idle_in_transaction_session_timeout",
    "assumeRole": "role",
}
PROPERTIES = {
    "name": Property(required=True),
    **{name: Property(kind="bool", default=name == "inherit") for name in FLAGS},
    "password": Property(),
    "validUntil": Property(default="infinity"),
    "connectionLimit": Property(kind="int", default=-1),
    "roles": Property(kind="set", default=[], open=True),
    "searchPaths": Property(kind="list", default=[]),
    "statementTimeout": Property(kind="int", default=0),
    "idleInTransactionSessionTimeout": Property(kind="int", default=0),
    "assumeRole": Property(default=""),
    "skipDropRole": Property(kind="bool", default=False),
    "skipReassignOwned": Property(kind="bool", default=False),
}
LIVE = """
    SELECT rolname AS name, rolsuper AS superuser, rolcreatedb AS "createDatabase", rolcreaterole AS "createRole",
           rolinherit AS inherit, rolcanlogin AS login, rolreplication AS replication,
           rolbypassrls AS "bypassRowLevelSecurity", rolconnlimit AS "connectionLimit",
           CASE WHEN coalesce(rolvaliduntil, 'infinity') = %(validUntil)s::text::timestamptz THEN %(validUntil)s::text
                ELSE coalesce(rolvaliduntil::text, 'infinity') END AS "validUntil",
           ARRAY(SELECT DISTINCT pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = r.oid) AS roles, rolconfig
    FROM pg_roles r WHERE rolname = %(name)s
    """
VERIFIER = re.compile(r"SCRAM-SHA-256\$\d+:[^$]+\$[^:]+:.+|md5[0-9a-f]{32}")


def read(session: Session, wanted: Values) -> Values | None:
    """Return a role's properties. A password given as its verifier is compared; a plain one is taken on trust."""

    def look(connection: Connection) -> Values | None:
        live, password = _live(connection, wanted), wanted["password"]
        if live and not wanted["roles"]:
            live["roles"] = []  # what a GrantRole beside it gives is that one's to read
        if live and session.superuser and password and VERIFIER.fullmatch(password):
            stored = one(connection, "SELECT rolpassword AS stored FROM pg_authid WHERE rolname = %(name)s", wanted)
            live["password"] = password if stored and stored["stored"] == password else ""
        return live

    return session.run(f"cannot read the role {wanted['name']}", look)


def create(session: Session, wanted: Values, resumed: bool) -> None:  # noqa: FBT001 - a Noun's verb
    """Make a role; one that an earlier run made is brought to what is wanted."""

    def make(connection: Connection) -> None:
        stood = _live(connection, wanted)
        if stood and not resumed:
            raise session.refuse("role", wanted["name"])
        if not stood:
            do(connection, "CREATE ROLE {}", wanted["name"])
        _converge(connection, wanted, password=wanted["password"])

    session.run(f"cannot create the role {wanted['name']}", make)


def update(session: Session, old: Values, wanted: Values) -> None:
    """Change a role in place."""

    def change(connection: Connection) -> None:
        if old["name"] != wanted["name"] and _live(connection, old):
            do(connection, "ALTER ROLE {} RENAME TO {}", old["name"], wanted["name"])
        changed = (old["name"], old["password"]) != (wanted["name"], wanted["password"])  # md5 is salted with the name
        revoked = set(old["roles"]) - set(wanted["roles"])
        _converge(connection, wanted, password=wanted["password"] if changed else None, revoked=revoked)

    session.run(f"cannot change the role {old['name']}", change)


def delete(session: Session, old: Values) -> None:
    """Drop a role; what it owns in the provider's database goes to the administrator first."""

    def drop(connection: Connection) -> None:
        if not _live(connection, old):
            return
        if not old["skipReassignOwned"]:
            with acting_for(connection, [old["name"]]):
                do(connection, "REASSIGN OWNED BY {} TO CURRENT_USER", old["name"])
                do(connection, "DROP OWNED BY {}", old["name"])
        if not old["skipDropRole"]:
            do(connection, "DROP ROLE {}", old["name"])

    held = f"In each database that is named: REASSIGN OWNED BY {old['name']} TO …; DROP OWNED BY {old['name']}."
    session.run(f"cannot drop the role {old['name']}", drop, held=held)


def _live(connection: Connection, wanted: Values) -> Values | None:
    """Return a role's properties without its password."""
    live = one(connection, LIVE, wanted)
    if live is None:
        return None
    config = dict(entry.split("=", 1) for entry in live.pop("rolconfig") or [])
    for name, setting in SETTINGS.items():
        text = config.get(setting, "")
        live[name] = int(text) if text.isdigit() else text or PROPERTIES[name].default
    if path := config.get("search_path"):
        live["searchPaths"] = [part.strip('"').replace('""', '"') for part in path.split(", ")]
    return {**live, "encryptedPassword": True}


def _converge(connection: Connection, wanted: Values, *, password: str | None, revoked: Iterable[str] = ()) -> None:
    """Bring a role to what is wanted; only what differs is named, since some of it only a superuser may name."""
    live, name = _live(connection, wanted) or {}, sql.Identifier(wanted["name"])
    start = sql.SQL("ALTER ROLE {} ").format(name)
    for key in (key for key in FLAGS if wanted[key] != live[key]):
        connection.execute(start + sql.SQL(("" if wanted[key] else "NO") + FLAGS[key]))
    if wanted["connectionLimit"] != live["connectionLimit"]:
        connection.execute(start + sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(wanted["connectionLimit"])))
    if wanted["validUntil"] != live["validUntil"]:
        connection.execute(start + sql.SQL("VALID UNTIL {}").format(sql.Literal(wanted["validUntil"])))
    if password:
        if not VERIFIER.fullmatch(password):
            made = connection.pgconn.encrypt_password(password.encode(), wanted["name"].encode(), b"scram-sha-256")
            password = made.decode()
        connection.execute(start + sql.SQL("PASSWORD {}").format(sql.Literal(password)))
    for key in (key for key in SETTINGS if wanted[key] != live[key]):
        parts = wanted[key] if isinstance(wanted[key], list) else [wanted[key]]
        given = [sql.Literal(item) if isinstance(item, int) else sql.Identifier(item) for item in parts]
        change = sql.SQL(f"SET {SETTINGS[key]} TO {{}}" if wanted[key] else f"RESET {SETTINGS[key]}")
        connection.execute(start + change.format(sql.SQL(", ").join(given)))
    for role in sorted(set(wanted["roles"]) - set(live["roles"])):
        do(connection, "GRANT {} TO {}", role, wanted["name"])
    for role in sorted(set(revoked) & set(live["roles"])):
        do(connection, "REVOKE {} FROM {}", role, wanted["name"])


def read_membership(session: Session, wanted: Values) -> Values | None:
    """Return a membership; the right to administer alone, which PostgreSQL 16 gives to who makes a role, is none."""

    def look(connection: Connection) -> Values | None:
        real = "(inherit_option OR set_option)" if connection.info.server_version >= 160000 else "true"
        query = f"""
            SELECT bool_or(admin_option) AS "withAdminOption" FROM pg_auth_members
            WHERE pg_get_userbyid(roleid) = %(grantRole)s AND pg_get_userbyid(member) = %(role)s AND {real}
            HAVING count(*) > 0
            """  # noqa: S608 - one of two texts above
        live = one(connection, query, wanted)
        return live and {**wanted, **live}

    return session.run(f"cannot read the members of {wanted['grantRole']}", look)


def create_membership(session: Session, wanted: Values, _: bool) -> None:  # noqa: FBT001 - a Noun's verb
    """Make one role a member of another; one that stands is made anew."""

    def make(connection: Connection) -> None:
        do(connection, "REVOKE {} FROM {}", wanted["grantRole"], wanted["role"])
        option = " WITH ADMIN OPTION" * wanted["withAdminOption"]
        do(connection, "GRANT {} TO {}" + option, wanted["grantRole"], wanted["role"])

    session.run(f"cannot grant {wanted['grantRole']} to {wanted['role']}", make)


def delete_membership(session: Session, old: Values) -> None:
    """End a membership; without either of the roles there is none."""
    if session.has("role", old["role"]) and session.has("role", old["grantRole"]):
        what = f"cannot revoke {old['grantRole']} from {old['role']}"
        session.run(what, lambda c: do(c, "REVOKE {} FROM {}", old["grantRole"], old["role"]))


ROLE = Noun(
    properties=PROPERTIES, identify=lambda own: str(own["name"]), read=read, create=create, update=update, delete=delete
)
GRANT_ROLE = Noun(
    properties={
        "role": Property(required=True, fixed=True),
        "grantRole": Property(required=True, fixed=True),
        "withAdminOption": Property(kind="bool", default=False, fixed=True),
    },
    identify=lambda own: f"{own['role']}_{own['grantRole']}_{str(own['withAdminOption']).lower()}",
    read=read_membership,
    create=create_membership,
    update=lambda session, _, wanted: create_membership(session, wanted, True),  # noqa: FBT003 - all of it is fixed
    delete=delete_membership,
)
