"""Connect to one database and say in plain words why that fails.

Stands under everything that speaks to PostgreSQL: the runner, the catalogue, the embedded provider, the command line.
Imports psycopg and nothing else that takes time to load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from infra.errors import ChatdbError, ConnectionFailedError, DatabaseError

if TYPE_CHECKING:
    from infra.aws import Access


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
        iam: How AWS is reached, where the password is an RDS IAM token: made anew for each connection, as it lasts for
            15 minutes; None where it is `password`.
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
    iam: Access | None = None
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

    def login_password(self) -> str:
        """Return what to log in with now: the password, or a new RDS IAM token.

        Raises:
            AwsError: a token cannot be made: no credentials, no region, or the role cannot be assumed.
        """
        if self.iam is None:
            return self.password
        from infra import aws

        return aws.rds_token(self.iam, host=self.host, port=self.port, user=self.user)

    def parameters(self) -> dict[str, Any]:
        """Return the connection as libpq's keywords; it holds the password, so it is never shown.

        Raises:
            AwsError: as `login_password`.
        """
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
        if password := self.login_password():
            parameters["password"] = password
        if self.sslrootcert:
            parameters["sslrootcert"] = self.sslrootcert
        return parameters


def connect(target: Target) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode, as `target.role` where one is given.

    Raises:
        ConnectionFailedError: the server is not reached, refuses the login, or the role may not be taken.
        AwsError: the login is by an RDS IAM token, and none can be made.
    """
    try:
        # A database in SQL_ASCII, or a variable, would have the ledger read as bytes.
        connection = psycopg.connect(**{**target.parameters(), "client_encoding": "UTF8"}, autocommit=True)
    except psycopg.Error as error:
        from infra.connection_failures import refused

        raise refused(target, server_message(error), error.sqlstate) from None
    if target.role:
        try:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(target.role)))
        except psycopg.Error as error:
            from infra.connection_failures import role_refused

            connection.close()
            raise role_refused(target, server_message(error), error.sqlstate) from None
    return connection


def server_message(error: psycopg.Error) -> str:
    """Return the server's own words (message and DETAIL) or the client's, on one line, without a password."""
    diagnostic = error.diag
    if diagnostic.message_primary:
        return " — ".join(part for part in (diagnostic.message_primary, diagnostic.message_detail) if part)
    return " ".join(str(error).split())


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
        from infra.connection_failures import hint_for

        lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(("08", "57P"))
        kind = ConnectionFailedError if lost else DatabaseError
        raise kind(
            what,
            detail=f"{target.label}: {server_message(error)}",
            hint=hint or error.diag.message_hint or hint_for(error.sqlstate, target),
            state=state,
            sqlstate=error.sqlstate or ("08006" if lost else None),
        ) from None


def reading(what: str, target: Target) -> contextlib.AbstractContextManager[None]:
    """Explain what fails inside the block as `explained` does, where the block only reads: nothing was changed."""
    return explained(what, target, state="Nothing was changed.")
