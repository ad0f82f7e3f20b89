"""PostgreSQL for the tests: a server that ends with the test run, databases, an administrator without superuser.

Called by the fixtures of tests/conftest.py.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
from psycopg import sql

from embedded.server import EmbeddedServer, ServerFile
from infra import products
from infra.connection import Target, connect
from infra.naming import role_names

APP_PASSWORD = "app-secret"
"""Password of every product's service, reader and analytics role on a test server."""

UNSAFE_BUT_QUICK = {"fsync": "off", "full_page_writes": "off"}
"""A test server is thrown away: it need not survive a power cut; a kill it does survive."""


def unique(prefix: str) -> str:
    """Return a name that no other test has: roles and databases are shared by a whole server."""
    return f"{prefix}_{secrets.token_hex(4)}"


@contextlib.contextmanager
def own_server(
    bin_folder: Path | None = None, *, folder: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[EmbeddedServer]:
    """Give a server that a test may start, stop and kill; it ends, too, where this process is killed in the block.

    Args:
        bin_folder: PostgreSQL's programs; the packaged ones where None.
        folder: An empty folder for it, removed afterwards; a new one where None.
        settings: What postgresql.conf says beside what is quick.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="chatdb-tests-"))
    folder.chmod(0o755)  # the account that runs PostgreSQL passes through it
    # Waits for the end of its standard input, which comes with our own end, however that comes.
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tests.support.watch", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=products.PROJECT_ROOT,
        start_new_session=True,
    )
    try:
        conf = {**UNSAFE_BUT_QUICK, **(settings or {})}
        yield EmbeddedServer(folder / "server", bin_folder=bin_folder, settings=conf)
    finally:
        watcher.communicate()


@contextlib.contextmanager
def running_server(
    bin_folder: Path | None = None, *, settings: Mapping[str, str] | None = None
) -> Iterator[ServerFile]:
    """Run a new server for the length of the block."""
    with own_server(bin_folder, settings=settings) as server:
        yield server.start()


@contextlib.contextmanager
def fresh_database(server: ServerFile, owner: str = "", encoding: str = "") -> Iterator[Target]:
    """Make an empty database for the length of the block.

    Args:
        server: Where.
        owner: Role that owns it; the administrator where it is empty.
        encoding: As the server names it, with the collation that goes with all of them; the server's where empty.
    """
    name = unique("db")
    owned = sql.SQL("OWNER {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
    encoded = sql.SQL("ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'").format(encoding) if encoding else sql.SQL("")
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {} {}")
    with connect(server.target()) as connection:
        connection.execute(statement.format(sql.Identifier(name), owned, encoded))
    try:
        yield server.target(name)
    finally:
        drop_database(server, name)


def drop_database(server: ServerFile, name: str) -> None:
    """Drop a database where it stands, whoever is connected to it."""
    with connect(server.target()) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def make_managed_admin(server: ServerFile) -> ServerFile:
    """Make an administrator as managed hosts give one: CREATEROLE and CREATEDB, no superuser."""
    name, password = unique("admin"), secrets.token_urlsafe(12)
    with connect(server.target()) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(password)
            )
        )
    return replace(server, username=name, password=password, superuser=False)


@contextlib.contextmanager
def product_database(server: ServerFile, name: str, *, stand_ins: bool = True) -> Iterator[Target]:
    """Make a database as the program makes it for a product: its owner, its roles, stand-in tables.

    Args:
        server: Where.
        name: The product.
        stand_ins: Whether the prerequisite tables are made.

    Yields:
        The database as its owner: logged in as the administrator, acting as the owner role.
    """
    product = products.load(name)
    owner = unique(f"{name}_owner")
    with connect(server.target()) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(owner)))
        statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        for role in role_names(product).serving.values():
            with contextlib.suppress(psycopg.errors.DuplicateObject):
                connection.execute(statement.format(sql.Identifier(role), sql.Literal(APP_PASSWORD)))
    try:
        with fresh_database(server, owner) as target:
            if stand_ins:
                with connect(target.to(role=owner)) as connection:
                    connection.execute(product.stand_ins_file.read_bytes())
            yield target.to(role=owner)
    finally:
        with connect(server.target()) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(owner)))
