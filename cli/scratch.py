"""A PostgreSQL server that lives as long as a command, and product databases on it to try migrations in.

Called by `cli.snapshots` and `cli.draft`. No stack and no database of anybody's is touched.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psycopg import sql

from embedded.server import EmbeddedServer, ServerFile
from infra.connection import Target, connect
from infra.naming import role_names
from infra.products import Product

# Thrown away at its end: it need not survive a power cut.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@contextlib.contextmanager
def server() -> Iterator[ServerFile]:
    """Run a new server for the length of the block; it goes with its data, also where the command is ended."""
    folder = Path(tempfile.mkdtemp(prefix="chatdb-scratch-"))
    folder.chmod(0o755)  # the account that runs PostgreSQL passes through it
    running = EmbeddedServer(folder / "server", settings=SETTINGS)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        yield running.start()
    finally:
        running.destroy()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def database(running: ServerFile, product: Product, purpose: str) -> Target:
    """Make a database in which the product's migrations can run: stand-in tables, the roles that policies name.

    Args:
        running: The server.
        product: The product.
        purpose: Part of the database's name.
    """
    name = f"{product.name}_{purpose}"
    with connect(running.target()) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        for role in role_names(product).serving.values():
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    target = running.target(name)
    with connect(target) as connection:
        connection.execute(product.stand_ins_file.read_bytes())
    return target
