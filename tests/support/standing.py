"""A stack brought up by the real command, and a way to try things in it that leave nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from embedded.server import EmbeddedServer, ServerFile
from infra import products
from infra.connection import connect
from infra.products import Product
from tests.support.project import Project, copied_project

PRODUCTS = ("futureguide", "lyra")
"""With row security and a schema of its own, and without both."""


@dataclass(frozen=True)
class Standing:
    """A stack that is up.

    Attributes:
        project: The copy of the project it belongs to.
        server: Its server, as superuser.
        stack: Its name.
    """

    project: Project
    server: ServerFile
    stack: str

    @contextmanager
    def trying(self, name: str) -> Iterator[tuple[psycopg.Connection[Any], Product]]:
        """Give a product's database as superuser; whatever is done in it is undone at the end of the block."""
        product = products.load(name)
        with (
            connect(self.server.target(product.database)) as connection,
            connection.transaction(force_rollback=True),
        ):
            yield connection, product

    def up_again(self) -> str:
        """Bring the stack up and return what is said of it."""
        return self.project.succeed("up", "--stack", self.stack, "--yes")


@contextmanager
def brought_up(
    server: ServerFile | None = None, *, names: tuple[str, ...] = PRODUCTS, **more: Any
) -> Iterator[Standing]:
    """Bring the products up for the length of the block, on a server of the stack's own or on the one that is given.

    Args:
        server: The server.
        names: The products.
        more: Further settings of the stack.
    """
    with copied_project() as project:
        stack = "dev"
        file = f".chatdb/{stack}/server/server.json"
        if server is not None:
            # A server file elsewhere than in the stack's folder is somebody else's server.
            file = "server.json"
            (project.folder / file).write_text(json.dumps(asdict(server)), encoding="utf-8")
        settings = {"serverFile": file, "standIns": True, "onDestroy": "drop", "products": list(names), **more}
        project.write_stack(stack, settings)
        project.succeed("up", "--stack", stack, "--yes")
        found = server or EmbeddedServer(project.folder / ".chatdb" / stack / "server").read()
        try:
            yield Standing(project, found, stack)
        finally:
            if server is not None:
                # Roles and databases belong to the whole of it, and another test may bring the same up there.
                project.succeed("destroy", "--stack", stack, "--yes")


def run(connection: psycopg.Connection[Any], statements: str) -> None:
    """Run statements as text, without parameters."""
    connection.execute(statements.encode())


@contextmanager
def acting_as(connection: psycopg.Connection[Any], role: str) -> Iterator[None]:
    """Act as a role for the length of the block."""
    run(connection, f'SET ROLE "{role}"')
    yield
    run(connection, "RESET ROLE")
