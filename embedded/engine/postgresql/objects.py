"""The resource types Database, Role and Schema: what has a name of its own. Edge.

Each is made, altered, renamed and dropped by statements of one form; what differs stands in the tables of their
properties. Only what differs is altered: some of it only a superuser may even name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from embedded.engine.postgresql.noun import Connection, Kind, Noun, Property, do
from embedded.engine.provider import Values
from infra import sessions
from infra.acting import acting_for
from infra.connection import server_message
from infra.errors import ChatdbError

VALID_UNTIL = """CASE WHEN coalesce(rolvaliduntil, 'infinity') = %(validUntil)s::text::timestamptz
    THEN %(validUntil)s::text ELSE coalesce(rolvaliduntil::text, 'infinity') END"""
MEMBERSHIPS = "ARRAY(SELECT DISTINCT pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = r.oid)"
READABLE = "SELECT WHERE has_table_privilege('pg_authid', 'SELECT')"
VERIFIER = re.compile(r"SCRAM-SHA-256\$\d+:[^$]+\$[^:]+:.+|md5[0-9a-f]{32}")


def _option(words: str, kind: Kind, reads: str, *, default: Any = None) -> Property:
    """Return a property that is said with the same words in CREATE and ALTER."""
    return Property(kind, default=default, open=default is None, reads=reads, makes=words, sets=words)


def _flag(word: str, column: str, *, default: bool = False) -> Property:
    """Return a property of a role that is a word or, with NO before it, its opposite."""
    return Property("bool", default=default, reads=column, sets=word)


def _setting(name: str, kind: Kind, default: Any) -> Property:
    """Return a property of a role that is a setting of its sessions."""
    option = f"(SELECT option_value FROM pg_options_to_table(rolconfig) WHERE option_name = '{name}')"  # noqa: S608
    return Property(kind, default=default, reads=option, sets=f"SET {name} TO {{}}")


class AlreadyExistsError(ChatdbError):
    """An object of the name stands already, and this stack did not make it."""


class Named(Noun):
    """What has a row of its own in a catalogue.

    Attributes:
        keyword: What it is called in SQL.
        catalogue: Where it is found: what follows FROM.
        acting: Roles whose privileges every change of it takes, besides its owners'.
    """

    keyword: str
    catalogue: str
    acting: tuple[str, ...] = ()

    def read(self, connection: Connection, wanted: Values) -> Values | None:
        """Return what can be seen of an object; None where it does not exist."""
        columns = ", ".join(f'{prop.reads} AS "{name}"' for name, prop in self.properties.items() if prop.reads)
        query = f"SELECT {columns} FROM {self.catalogue}"  # noqa: S608 - texts of this package
        live = connection.cursor(row_factory=dict_row).execute(query, wanted).fetchone()
        return live and {name: self.properties[name].parsed(value) for name, value in live.items()}

    def apply(self, connection: Connection, old: Values | None, wanted: Values, *, resumed: bool = False) -> None:
        """Make an object, or bring the one that stands to what is wanted; a new name keeps what is in it."""
        name, was = wanted["name"], (old or wanted)["name"]
        live = self.read(connection, {**wanted, "name": was}) or {}
        if live and old is None and not resumed and not wanted.get("ifNotExists"):
            why = f"{connection.info.host}:{connection.info.port} has one that this stack did not make"
            hint = "Choose another name, or move it away; a database may be taken over by the setting adopt: true."
            more = {"detail": why, "hint": hint, "state": "It was left as it is.", "sqlstate": "42710"}
            raise AlreadyExistsError(f"the {self.keyword.lower()} {name} exists already", **more)
        with acting_for(connection, *self.acting, live.get("owner"), wanted.get("owner")):
            if old is None and not live:
                create = sql.SQL(f"CREATE {self.keyword} {{}}").format(sql.Identifier(name))
                for key, prop in self.properties.items():
                    if prop.makes and wanted[key] is not None:
                        create += sql.SQL(" ") + prop.said(prop.makes, wanted[key])
                connection.execute(create)
                live = self.read(connection, wanted) or {}
            if live and was != name:
                do(connection, f"ALTER {self.keyword} {{was}} RENAME TO {{name}}", {"was": was, "name": name})
            alter = sql.SQL(f"ALTER {self.keyword} {{}} ").format(sql.Identifier(name))
            for key, prop in self.properties.items():
                if prop.sets and wanted[key] not in (None, live.get(key, (old or {}).get(key))):
                    connection.execute(alter + prop.said(prop.sets, wanted[key]))

    def drop(self, connection: Connection, old: Values, *statements: str) -> None:
        """Run what removes an object, where it stands."""
        if live := self.read(connection, old):
            with acting_for(connection, *self.acting, live.get("owner")):
                for statement in statements:
                    do(connection, statement, old)


class Database(Named):
    """CREATE, ALTER and DROP DATABASE. CREATE says everything, as it takes no part in a transaction."""

    title, id, keyword, atomic = "the database {name}", "{name}", "DATABASE", False
    catalogue = "pg_database JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %(name)s"
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property("name", required=True, reads="datname"),
        "owner": Property("name", open=True, reads="pg_get_userbyid(datdba)", makes="OWNER {}", sets="OWNER TO {}"),
        "template": Property("name", default="template0", fixed=True, open=True, makes="TEMPLATE {}"),
        "encoding": Property(
            default="UTF8", fixed=True, open=True, reads="pg_encoding_to_char(encoding)", makes="ENCODING {}"
        ),
        "lcCollate": Property(fixed=True, open=True, reads="datcollate", makes="LC_COLLATE {}"),
        "lcCtype": Property(fixed=True, open=True, reads="datctype", makes="LC_CTYPE {}"),
        "connectionLimit": _option("CONNECTION LIMIT {}", "int", "datconnlimit", default=-1),
        "allowConnections": _option("ALLOW_CONNECTIONS {}", "bool", "datallowconn", default=True),
        "isTemplate": _option("IS_TEMPLATE {}", "bool", "datistemplate"),
        "tablespaceName": Property("output", open=True, reads="spcname"),
        "alterObjectOwnership": Property("output", open=True, reads="false"),
    }

    def delete(self, connection: Connection, old: Values) -> None:
        """Drop a database, whoever is connected to it; where a session may not be ended, it stays open to all.

        Raises:
            DatabaseError: a session may not be ended; each one is named.
        """
        name = old["name"]
        found = sessions.read(connection, databases=[name])
        try:
            # Only who may act as its role may end a session.
            with acting_for(connection, *{session.role for session in found}):
                found = sessions.read(connection, databases=[name])  # since when is told to who may act as its role
                forced = "DROP DATABASE {name} WITH (FORCE)"
                self.drop(connection, old, "ALTER DATABASE {name} IS_TEMPLATE false", forced)
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse) as error:
            if not found:
                raise
            raise sessions.in_the_way(name, found, why=server_message(error), sqlstate=error.sqlstate) from None


class Role(Named):
    """CREATE, ALTER and DROP ROLE.

    A plain password is turned into a SCRAM verifier here, so that none reaches the server, its log or an error.
    """

    title, id, keyword = "the role {name}", "{name}", "ROLE"
    catalogue = "pg_roles r WHERE rolname = %(name)s"
    held = "In each database that is named: REASSIGN OWNED BY {name} TO …; DROP OWNED BY {name}."
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property("name", required=True, reads="rolname"),
        "superuser": _flag("SUPERUSER", "rolsuper"),
        "createDatabase": _flag("CREATEDB", "rolcreatedb"),
        "createRole": _flag("CREATEROLE", "rolcreaterole"),
        "inherit": _flag("INHERIT", "rolinherit", default=True),
        "login": _flag("LOGIN", "rolcanlogin"),
        "replication": _flag("REPLICATION", "rolreplication"),
        "bypassRowLevelSecurity": _flag("BYPASSRLS", "rolbypassrls"),
        "password": Property(sets="PASSWORD {}"),
        "validUntil": Property(default="infinity", reads=VALID_UNTIL, sets="VALID UNTIL {}"),
        "connectionLimit": Property("int", default=-1, reads="rolconnlimit", sets="CONNECTION LIMIT {}"),
        "roles": Property("set", default=[], open=True, reads=MEMBERSHIPS),
        "searchPaths": _setting("search_path", "list", []),
        "statementTimeout": _setting("statement_timeout", "int", 0),
        "idleInTransactionSessionTimeout": _setting("idle_in_transaction_session_timeout", "int", 0),
        "assumeRole": _setting("role", "name", ""),
        "skipDropRole": Property("bool", default=False),
        "skipReassignOwned": Property("bool", default=False),
        "encryptedPassword": Property("output", open=True, reads="true"),
    }

    def read(self, connection: Connection, wanted: Values) -> Values | None:
        """Return a role's properties. A password given as its verifier is compared; a plain one is taken on trust."""
        live, password = super().read(connection, wanted), wanted["password"]
        if live and not wanted["roles"]:
            live["roles"] = []  # what a GrantRole beside it gives is that one's to read
        if live and password and VERIFIER.fullmatch(password) and connection.execute(READABLE).rowcount:
            stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %(name)s", wanted).fetchone()
            live["password"] = password if stored == (password,) else ""
        return live

    def apply(self, connection: Connection, old: Values | None, wanted: Values, *, resumed: bool = False) -> None:
        """Make or change a role; a password and memberships only where the program changed them."""
        old_name, old_secret, old_roles = (old[key] if old else None for key in ("name", "password", "roles"))
        name, secret = wanted["name"], wanted["password"]
        # A plain password that stays is sent again under a new name: as md5 it was salted with the old one.
        if secret and (old_name, old_secret) != (name, secret) and not VERIFIER.fullmatch(secret):
            secret = connection.pgconn.encrypt_password(secret.encode(), name.encode(), b"scram-sha-256").decode()
        super().apply(connection, old, {**wanted, "password": secret}, resumed=resumed)
        held = set((super().read(connection, wanted) or {})["roles"])
        for role in sorted(set(wanted["roles"]) - held):
            do(connection, "GRANT {role} TO {name}", {"role": role, "name": name})
        for role in sorted(held & set(old_roles or ()) - set(wanted["roles"])):
            do(connection, "REVOKE {role} FROM {name}", {"role": role, "name": name})

    def delete(self, connection: Connection, old: Values) -> None:
        """Drop a role; what it owns in the provider's database goes to the administrator first."""
        if not old["skipReassignOwned"]:
            with acting_for(connection, old["name"]):
                self.drop(connection, old, "REASSIGN OWNED BY {name} TO CURRENT_USER", "DROP OWNED BY {name}")
        if not old["skipDropRole"]:
            self.drop(connection, old, "DROP ROLE {name}")


class Schema(Named):
    """CREATE, ALTER and DROP SCHEMA."""

    title, id, keyword = "the schema {name}", "{database}.{name}", "SCHEMA"
    catalogue = "pg_namespace WHERE nspname = %(name)s"
    held = "Empty it first, or set drop_cascade=True where all in it may go."
    acting = ("pg_database_owner",)
    properties: ClassVar[Mapping[str, Property]] = {
        "name": Property("name", required=True, reads="nspname"),
        "database": Property("name", fixed=True, open=True),
        "owner": Property("name", open=True, reads="pg_get_userbyid(nspowner)", sets="OWNER TO {}"),
        "ifNotExists": Property("bool", default=True),
        "dropCascade": Property("bool", default=False),
        "policies": Property("output", open=True, reads="'{}'::text[]"),
    }

    def delete(self, connection: Connection, old: Values) -> None:
        """Drop a schema; one that holds something only where `dropCascade` says so."""
        self.drop(connection, old, "DROP SCHEMA {name}" + " CASCADE" * old["dropCascade"])
