"""A product's database with rows in it, and what a backup of it needs; for the tests of backups."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from embedded.server import ServerFile, packaged_bin_folder
from infra import products
from infra.backup import taking
from infra.backup.folder import FolderStore
from infra.backup.manifest import Manifest
from infra.backup.taking import ScratchServer, Source
from infra.connection import Target, connect
from infra.hooks import product_hooks
from infra.migrations import directory, runner
from infra.migrations.options import Options

FOLDERS = [packaged_bin_folder()]
PEOPLE = 3
CONVERSATIONS = 40


def fill(target: Target) -> None:
    """Bring futureguide up in its database, with conversations that row security hides from each other's owners."""
    product = products.load("futureguide")
    migrations = directory.read(product.migrations_folder)
    runner.apply(target, migrations, options=Options(stack="test"), hooks=product_hooks(product))
    with connect(target.to(role="")) as connection:
        connection.execute("INSERT INTO auth.users SELECT FROM generate_series(1, %s)", [PEOPLE])
        connection.execute(
            "INSERT INTO chat.conversations (user_id, title) "
            "SELECT id, 'Käse ''n'' \\ bread' || n FROM auth.users, generate_series(1, %s) AS n",
            [CONVERSATIONS],
        )
        connection.execute("CREATE SEQUENCE auth.numbers INCREMENT -1; SELECT nextval('auth.numbers')")
        connection.execute(f'GRANT SELECT ON auth.users, auth.numbers TO "{target.role}"'.encode())


def same_server(server: ServerFile) -> Callable[[str], AbstractContextManager[ScratchServer]]:
    """Prove backups on the server they are taken from."""

    @contextlib.contextmanager
    def give(_owner: str) -> Iterator[ScratchServer]:
        yield ScratchServer(administrator=server.target(), where="the same server", has_roles=True)

    return give


def take(server: ServerFile, target: Target, folder: Path) -> tuple[Manifest, str]:
    """Take a backup of futureguide into a folder."""
    source = Source(target=target, product="futureguide", stack="test")
    return taking.take(source, FolderStore(folder), folders=FOLDERS, scratch=same_server(server))


def left(folder: Path) -> list[str]:
    """Return every file below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
