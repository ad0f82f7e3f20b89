"""What to do where PostgreSQL cannot be reached, refuses a login or fails a statement. Pure.

Called by `infra.connection` where something failed, and loaded only then.

Source: https://www.postgresql.org/docs/18/errcodes-appendix.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.errors import ConnectionFailedError

if TYPE_CHECKING:
    from infra.connection import Target

# libpq reports a refused login before a session exists, so psycopg has no SQLSTATE: only its words tell.
_SQLSTATES = {
    "password authentication failed": "28P01",
    "PAM authentication failed": "28P01",
    "no pg_hba.conf entry": "28000",
    "does not exist": "3D000",
    "permission denied for database": "42501",
    "too many c": "53300",  # clients; connections for a role or a database
    "connection slots are reserved": "53300",
    "the database system is ": "57P03",  # starting up, shutting down, in recovery
}
_HINTS = {
    "28P01": "Check the password of {user}.",
    "28000": "Allow {user} in pg_hba.conf, or check sslmode (now {sslmode}).",
    "3D000": "Create the database {database}, or name another.",
    "42501": "Grant CONNECT on {database} to {user}.",
    "53300": "Close sessions that are not needed, or raise the limit (max_connections, or the role's or database's).",
    "57P03": "Wait until the server has started, then run the same command again.",
}
_UNREACHED = (
    "Check that the server runs and that {host}:{port} can be reached from here; a serverless database may be asleep. "
    "sslmode is {sslmode}."
)
_NOT_BY_IAM = "Grant rds_iam to {user}, and allow rds-db:connect as {user} in the IAM policy of the credentials in use."
_PRIMARY = "Name the server that takes writes, and a login without default_transaction_read_only."
READ_ONLY = f"This session only reads. {_PRIMARY}"
_OPTION = "Mend that option, which the connection string, a PG* variable or ALTER ROLE … SET gives."
_STANDBY = "Name a standby, or leave target_session_attrs out of the connection string."
_NO_TLS = (
    "Turn TLS on in the server (ssl = on); only for a server on this very machine, set sslMode to prefer. sslmode is "
    "{sslmode}."
)
_NO_CA = (
    "Name the file of the CA that signed the server's certificate: chatdb:sslRootCert, or sslrootcert in a connection "
    "string."
)
_STRANGER = (
    "Find out who answers at {host}:{port}: the CA in sslRootCert did not sign its certificate. Name the CA that did "
    "only where you know it."
)
# By libpq's words what they say of TLS and of the connection string, first; 08001 alone is worth another try.
_BY_WORDS = {
    "session is read-only": ("08001", _PRIMARY),
    "is in hot standby mode": ("08001", _PRIMARY),
    "is not in hot standby mode": ("08001", _STANDBY),
    "session is not read-only": ("08001", _STANDBY),
    ' value: "': ("22023", _OPTION),
    'for parameter "': ("22023", _OPTION),
    "unrecognized configuration parameter": ("22023", _OPTION),
    'definition of service "': ("22023", _OPTION),
    "no password supplied": ("28P01", "Give the password of {user}, as by PGPASSWORD or ~/.pgpass."),
    "is not permitted to log in": ("28000", "Let {user} log in (ALTER ROLE … LOGIN), or name another login."),
    "not currently accepting connections": (
        "55000",
        "Open {database} (ALTER DATABASE … ALLOW_CONNECTIONS true), or name another.",
    ),
    "channel binding": (
        "08004",
        "Leave channel_binding out, or go by TLS to a server that has it: a pooler may not. sslmode is {sslmode}.",
    ),
    "does not support SSL": ("08004", _NO_TLS),
    "no encryption": (
        "08004",
        "Set sslMode to require or stricter: the server takes this login by TLS alone. It is {sslmode}.",
    ),
    "root certificate file": ("08004", _NO_CA),
    "certificate verify failed": ("08004", _STRANGER),
    "does not match host name": ("08004", "Connect by a name that the server's certificate has, in place of {host}."),
}


def refused(target: Target, text: str, sqlstate: str | None) -> ConnectionFailedError:
    """Say why a connection could not be made.

    Args:
        target: Where to.
        text: The server's or libpq's words, on one line.
        sqlstate: Where the server gave one.
    """
    if target.password and target.password not in target.label + target.user:  # they are shown: a gap would tell it
        text = text.replace(target.password, "********")
    known = next((said for phrase, said in _BY_WORDS.items() if phrase in text), None)
    found, hint = known or (next((state for phrase, state in _SQLSTATES.items() if phrase in text), "08001"), "")
    sqlstate = sqlstate or found
    if sqlstate == "28P01" and target.iam is not None:
        hint = hint or _NOT_BY_IAM
    hint = hint or _HINTS.get(sqlstate, _UNREACHED)
    places = {name: str(getattr(target, name)) for name in ("host", "port", "database", "user", "sslmode")}
    return ConnectionFailedError(
        f"cannot connect to {target.label} as {target.user}",
        detail=text,
        hint=hint.format(**places),
        state="Nothing was changed.",
        sqlstate=sqlstate,
    )


def role_refused(target: Target, text: str, sqlstate: str | None) -> ConnectionFailedError:
    """Say why the role of a target could not be taken after login.

    Args:
        target: The database, its login and the role.
        text: The server's words.
        sqlstate: 42501 where the login is no member, 22023 where there is no such role.
    """
    user, role = target.user, target.role
    if sqlstate == "22023":
        hint = f"Name the role that owns the database; {role} is not on this server, and `chatdb up` makes a stack's."
    else:
        hint = f"Grant it: GRANT {role} TO {user}; or run `chatdb up`, which does."
    return ConnectionFailedError(
        f"{user} may not act as {role} in {target.label}",
        detail=text,
        hint=hint,
        state="Nothing was changed.",
        sqlstate=sqlstate,
    )


def hint_for(sqlstate: str | None, target: Target) -> str:
    """Return what to do about the common SQLSTATEs."""
    match sqlstate:
        case "25006":
            return READ_ONLY
        case "42501":
            return f"{target.role or target.user} lacks a privilege: grant it, or connect as a role that has it."
        case "55P03":
            return "Another session holds the lock: let it end, or run the command again."
        case "57014":
            return "The statement ran into statement_timeout: raise it for this login, or run when there is less load."
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
