"""Connect to one database and say in plain words why that fails.

Stands under everything that speaks to PostgreSQL: the runner, the catalogue, the embedded provider, the command line.
Imports psycopg and nothing else that takes time to load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from infra.errors import ChatdbError, ConnectionFailedError, DatabaseError


@dataclass(frozen=True, kw_only=True)
class Target:
    """One database as structured fields, never a URL; the password is left out of `repr`.

    Attributes:
        host: Host name, address, or directory of a Unix socket.
        port: TCP port, 1 to 65535.
        database: Name of the database.
        user: Login role.
        password: Its password; empty where the server asks for none.
        role: Role taken by `SET ROLE` after login; empty to stay the login role.
        sslmode: libpq's sslmode.
        sslrootcert: Path of the CA file for verify-ca and verify-full; empty for libpq's default.
        connect_timeout_s: Time in seconds that one attempt to connect may take.
        application_name: What `pg_stat_activity` shows.
        further: Other keywords of libpq that a connection string brought, such as channel_binding or sslcert.
    """

    host: str
    port: int = 5432
    database: str
    user: str
    password: str = field(default="", repr=False)
    role: str = ""
    sslmode: str = "prefer"
    sslrootcert: str = ""
    connect_timeout_s: int = 10
    application_name: str = "chatdb"
    further: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def label(self) -> str:
        """`host:port/database`: what may be shown, without user, password or options."""
        return f"{self.host}:{self.port}/{self.database}"

    def to(self, **changes: Any) -> Target:
        """Return a copy with some fields changed."""
        return replace(self, **changes)

    def parameters(self) -> dict[str, Any]:
        """Return the connection as libpq's keywords; it holds the password, so it is never shown."""
        parameters: dict[str, Any] = {
            **dict(self.further),
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "sslmode": self.sslmode,
            "connect_timeout": self.connect_timeout_s,
            "application_name": self.application_name,
        }
        if self.password:
            parameters["password"] = self.password
        if self.sslrootcert:
            parameters["sslrootcert"] = self.sslrootcert
        return parameters


def connect(target: Target) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode, as `target.role` where one is given.

    Raises:
        ConnectionFailedError: the server is not reached, refuses the login, or the role may not be taken.
    """
    try:
        connection = psycopg.connect(**target.parameters(), autocommit=True)
    except psycopg.Error as error:
        raise connection_error(target, error) from None
    if target.role:
        try:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(target.role)))
        except psycopg.Error as error:
            connection.close()
            raise ConnectionFailedError(
                f"{target.user} may not act as {target.role} in {target.label}",
                detail=server_message(error),
                hint=f"Grant it: GRANT {target.role} TO {target.user}; or run `chatdb up`, which does.",
                sqlstate=error.sqlstate,
            ) from None
    return connection


def server_message(error: psycopg.Error) -> str:
    """Return the server's own words (message and DETAIL) or the client's, on one line, without a password."""
    diagnostic = error.diag
    if diagnostic.message_primary:
        return " — ".join(part for part in (diagnostic.message_primary, diagnostic.message_detail) if part)
    return " ".join(str(error).split())


def connection_error(target: Target, error: psycopg.Error) -> ConnectionFailedError:
    """Say why a connection could not be made, by SQLSTATE where the server answered.

    Source: https://www.postgresql.org/docs/18/errcodes-appendix.html
    """
    text = server_message(error)
    if "password" in target.parameters():
        text = text.replace(target.password, "********")
    hints = {
        "28P01": f"Check the password of {target.user}.",
        "28000": f"Allow {target.user} in pg_hba.conf, or check sslmode (now {target.sslmode}).",
        "3D000": f"Create the database {target.database}, or name another.",
        "42501": f"Grant CONNECT on {target.database} to {target.user}.",
        "53300": "Close sessions that are not needed, or raise max_connections.",
        "57P03": "Wait until the server has started, then run the same command again.",
    }
    # libpq reports a refused login before a session exists, so psycopg has no SQLSTATE: only its words tell.
    words = {
        "password authentication failed": "28P01",
        "no pg_hba.conf entry": "28000",
        "no password supplied": "28P01",
        "does not exist": "3D000",
        "permission denied for database": "42501",
        "too many clients": "53300",
        "starting up": "57P03",
    }
    sqlstate = error.sqlstate or next((state for phrase, state in words.items() if phrase in text), "08001")
    default = (
        f"Check that the server runs and that {target.host}:{target.port} can be reached from here; "
        f"a serverless database may be asleep. sslmode is {target.sslmode}."
    )
    return ConnectionFailedError(
        f"cannot connect to {target.label} as {target.user}",
        detail=text,
        hint=hints.get(sqlstate, default),
        state="Nothing was changed.",
        sqlstate=sqlstate,
    )


@contextlib.contextmanager
def explained(what: str, target: Target, *, hint: str = "", state: str = "") -> Iterator[None]:
    """Turn a psycopg error inside the block into ours.

    Args:
        what: What was being done, as in "cannot create the role lyra_app".
        target: Where; its label is shown.
        hint: What to do; a default is chosen by SQLSTATE where it is empty.
        state: What state things are in after the failure.
    """
    try:
        yield
    except ChatdbError:
        raise
    except psycopg.Error as error:
        lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(("08", "57P"))
        kind = ConnectionFailedError if lost else DatabaseError
        raise kind(
            what,
            detail=f"{target.label}: {server_message(error)}",
            hint=hint or error.diag.message_hint or _hint_for(error.sqlstate, target),
            state=state,
            sqlstate=error.sqlstate or ("08006" if lost else None),
        ) from None


def _hint_for(sqlstate: str | None, target: Target) -> str:
    """Return what to do about the common SQLSTATEs."""
    match sqlstate:
        case "42501":
            return f"{target.role or target.user} lacks a privilege: grant it, or connect as a role that has it."
        case "55P03":
            return "Another session holds the lock: let it end, or run the command again."
        case "57014":
            return "The statement ran into its timeout: raise it, or run when there is less load."
        case "42P01":
            return "Create the missing table first."
        case "42P07" | "42710":
            return "An object of that name stands already: adopt it (`chatdb baseline`) or move it away."
        case "53100":
            return "The server's disk is full: free space, then run the command again."
        case None:
            return "The connection was lost: run the command again; what was committed stays."
        case _:
            return f"See SQLSTATE {sqlstate} in PostgreSQL's documentation."
