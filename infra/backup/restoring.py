"""Restore a dump into a new database and compare it with what was dumped. An edge.

Called by `taking`, which throws the new database away again, and by `chatdb restore`, which gives it its name once it
is proven. A database that is being filled has a name that says so; what a killed run left is dropped by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
from psycopg import sql

from infra.access.matrix import GRANT_OPTION
from infra.backup import comparison, programs, reading
from infra.backup.errors import BackupError, CorruptedBackupError, NotProvenError
from infra.backup.manifest import OWNS, THE_DATABASE, Contents
from infra.connection import Target, connect, explained

PREFIX = "chatdb_restoring_"
TOLERANT_BEFORE = 170_000
"""pg_restore sets transaction_timeout, which only PostgreSQL 17 and later know; the rest is compared afterwards."""
UNKNOWN_SETTING = 'unrecognized configuration parameter "transaction_timeout"'
PIECE = 1 << 20


def prove(
    archive: Path, sha256: str, expected: Contents, administrator: Target, *, owner: str, folders: list[Path], what: str
) -> None:
    """Restore a dump into a scratch database and compare; the scratch database goes again.

    Args:
        archive: The dump.
        sha256: Its hex digest.
        expected: What it must hold.
        administrator: Login on the scratch server that may make databases.
        owner: Role that owns the database.
        folders: Where pg_restore may be.
        what: What is proven, for the error.

    Raises:
        NotProvenError: what was restored is not what was dumped.
        BackupError: it cannot be restored.
    """
    with new_database(administrator, owner=owner) as database:
        _fill(archive, sha256, expected, database, folders=folders, what=what)
        _compare(expected, database, what=what, state="It is not kept; the database is as it was.")


def restore_as(
    name: str, archive: Path, sha256: str, expected: Contents, administrator: Target, *, owner: str, folders: list[Path]
) -> None:
    """Restore a dump into a database that gets its name once it is proven.

    Raises:
        BackupError: the name is taken by a database with something in it, a role is missing, or it cannot be restored.
        CorruptedBackupError: the file is not the one that was proven.
        NotProvenError: what was restored is not what was dumped.
    """
    what = f"the database {name}"
    state = f"There is no database {name}; what was restored was dropped again."
    _require_roles(administrator, expected.roles)
    _require_free(administrator, name)
    with new_database(administrator, owner=owner) as database:
        _fill(archive, sha256, expected, database, folders=folders, what=what)
        _compare(expected, database, what=what, state=state)
        database.keep(name)


@contextlib.contextmanager
def new_database(administrator: Target, *, owner: str) -> Iterator[NewDatabase]:
    """Make an empty database for the length of the block; it goes with the block unless it is kept.

    Raises:
        DatabaseError: it cannot be made.
    """
    name = f"{PREFIX}{secrets.token_hex(6)}"
    with connect(administrator) as connection, explained("no database can be made to restore into", administrator):
        _drop_abandoned(connection)
        made = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'")
        connection.execute(made.format(sql.Identifier(name), sql.Identifier(owner)))
        sees_all = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (
            True,
        )
        inside = administrator.to(database=name, role="" if sees_all else owner)
        database = NewDatabase(connection, inside)
        try:
            yield database
        finally:
            database.close()


class NewDatabase:
    """A database that is being filled, and the session that keeps others from taking it for abandoned.

    Attributes:
        target: Login and role inside.
    """

    def __init__(self, server: psycopg.Connection[Any], target: Target) -> None:
        self.target = target
        self._server = server
        self._holder: psycopg.Connection[Any] | None = connect(target)
        self._kept = False

    def keep(self, name: str) -> None:
        """Give it its name; an empty database of that name makes way."""
        self._let_go()
        with self._server.transaction():
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            empty = self._server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount
            if empty:
                aside = f"{PREFIX}{secrets.token_hex(6)}"
                self._server.execute(rename.format(sql.Identifier(name), sql.Identifier(aside)))
            self._server.execute(rename.format(sql.Identifier(self.target.database), sql.Identifier(name)))
        self._kept = True
        if empty:
            self._server.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(aside)))

    def close(self) -> None:
        """Drop it unless it was kept."""
        self._let_go()
        if self._kept:
            return
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.target.database))
        # A lost session is no reason to hide why it was lost: the next run drops what is left.
        with contextlib.suppress(psycopg.OperationalError):
            self._server.execute(drop)

    def _let_go(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None


def _drop_abandoned(connection: psycopg.Connection[Any]) -> None:
    """Drop the databases that killed runs were filling: nobody is connected to them."""
    query = (
        "SELECT datname::text FROM pg_database AS d WHERE starts_with(datname, %s) AND pg_has_role(datdba, 'MEMBER') "
        "AND NOT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.datid = d.oid)"
    )
    for (name,) in connection.execute(query, [PREFIX]).fetchall():
        # Another run may have been quicker, or be at it.
        with contextlib.suppress(psycopg.errors.InvalidCatalogName, psycopg.errors.ObjectInUse):
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def _fill(
    archive: Path, sha256: str, expected: Contents, database: NewDatabase, *, folders: list[Path], what: str
) -> None:
    """Restore the dump; its checksum is taken of the very bytes that are restored."""
    target = database.target
    with connect(target) as connection:
        version = connection.info.server_version
    tools = programs.find(version // 10_000, folders)
    strict = [] if version < TOLERANT_BEFORE else ["--exit-on-error"]
    digest = hashlib.sha256()
    command = [str(tools.restore), "--format=custom", *strict]
    with _opened(archive) as file, programs.running(command, target, reading=False) as process:
        pipe = process.popen.stdin
        broken = pipe is None
        while piece := file.read(PIECE):
            digest.update(piece)
            try:
                if pipe is not None and not broken:
                    pipe.write(piece)
            except BrokenPipeError:
                broken = True
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        errors = [line for line in process.errors() if UNKNOWN_SETTING not in line]
    if digest.hexdigest() != sha256:
        raise CorruptedBackupError(str(archive), f"its SHA-256 is {digest.hexdigest()}, expected {sha256}")
    if errors and not (version < TOLERANT_BEFORE and all("errors ignored on restore" in line for line in errors)):
        raise BackupError(
            f"{what} cannot be restored",
            detail="\n  ".join(errors[:10]),
            hint="Mend what it names, then run the same command again.",
            state="What was restored was dropped again; the database that was dumped is as it was.",
        )
    _grant_on_database(expected, target)


def _opened(archive: Path) -> BinaryIO:
    try:
        return archive.open("rb")
    except OSError as error:
        raise CorruptedBackupError(str(archive), error.strerror or str(error)) from None


def _grant_on_database(expected: Contents, target: Target) -> None:
    """Give the rights on the database itself, which pg_dump leaves to whoever makes the database."""
    name = sql.Identifier(target.database)
    with connect(target) as connection:
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for role, privilege, on in expected.access:
            if on != THE_DATABASE or privilege == OWNS:
                continue
            grantee = sql.SQL("PUBLIC") if role == "PUBLIC" else sql.Identifier(role)
            word = privilege.removesuffix(GRANT_OPTION)
            option = " WITH GRANT OPTION" if word != privilege else ""
            statement = sql.SQL(f"GRANT {word} ON DATABASE {{}} TO {{}}{option}")
            connection.execute(statement.format(name, grantee))


def _compare(expected: Contents, database: NewDatabase, *, what: str, state: str) -> None:
    found = comparison.differences(expected, reading.read(database.target))
    if found:
        raise NotProvenError(what, found, state=state)


def _require_roles(administrator: Target, roles: list[str]) -> None:
    with connect(administrator) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname::text FROM pg_roles").fetchall()}
    if missing := [role for role in roles if role not in there]:
        raise BackupError(
            f"{administrator.host}:{administrator.port} lacks roles that the backup names",
            detail=", ".join(missing),
            hint="Bring the stack up there first (`chatdb up`), or make them: CREATE ROLE name NOLOGIN.",
            state="Nothing was changed.",
        )


def _require_free(administrator: Target, name: str) -> None:
    """Pass where there is no database of a name, or an empty one."""
    with connect(administrator) as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
            return
    with connect(administrator.to(database=name)) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).fetchone()
    if row and row[0]:
        raise BackupError(
            f"the database {name} is not empty",
            detail=f"{row[0]} relations stand in it; a backup is restored into a database of its own",
            hint="Name another with --into; look at it there, then rename.",
            state="Nothing was changed.",
        )


def make_roles(administrator: Target, roles: list[str]) -> None:
    """Make the roles that a dump names and a scratch server lacks; nobody can log in as one of them."""
    with connect(administrator) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname::text FROM pg_roles").fetchall()}
        for role in roles:
            if role not in there:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
