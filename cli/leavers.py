"""Say who is connected to what a stack is about to drop. Called by `cli.stacks` before a destroy, on both engines."""

from __future__ import annotations

import argparse

from cli.console import err
from cli.context import server_of
from cli.engines import Engine, stack_outputs
from cli.targets import from_outputs
from infra import sessions
from infra.connection import connect
from infra.errors import ChatdbError
from infra.sessions import Session


def tell(stack: str, options: argparse.Namespace, engine: Engine) -> None:
    """Name the sessions that a destroy ends.

    The Pulumi CLI's provider closes a database to new sessions before it ends those that are there, and leaves it
    closed where it may not end one: there they are let go first.

    Raises:
        ChatdbError: somebody is connected, and the Pulumi CLI has the stack.
    """
    found = _connected(stack, options)
    if not found:
        return
    if engine == "pulumi":
        raise ChatdbError(
            f"{sessions.counted(found, 'is', 'are')} connected to what would be dropped",
            detail=sessions.listed(found),
            hint="Let them end, or end them: SELECT pg_terminate_backend(pid); then run it again.",
            state="Nothing was changed.",
        )
    err.print(
        f"{sessions.counted(found, 'is', 'are')} connected and will be ended:{sessions.listed(found)}", markup=False
    )


def _connected(stack: str, options: argparse.Namespace) -> list[Session]:
    """Return who is connected to the stack's databases; nobody where nothing was made yet."""
    outputs = stack_outputs(stack, options, show_secrets=True)
    facts = outputs.get("products") or {}
    databases = [str(one["database"]) for one in facts.values()]
    if not databases or not outputs.get("connections"):
        return []
    server = server_of(stack)
    target = server.read().target() if server else from_outputs(outputs, stack, next(iter(facts)), "migrator")
    try:
        with connect(target) as connection:
            return sessions.read(connection, databases=databases)
    except ChatdbError as error:
        err.print(f"who is connected could not be asked: {error.message}: {error.detail}", markup=False)
        return []
