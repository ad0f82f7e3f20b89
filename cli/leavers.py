"""Say who is connected to what a stack is about to drop. Called by `cli.stacks` before it, on both engines.

The sessions are ended by `infra.teardown`, which touches nothing where it may not end one.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection

from cli.console import err
from cli.context import server_of
from cli.engines import stack_outputs
from cli.targets import from_outputs
from infra import sessions
from infra.connection import connect
from infra.errors import ChatdbError
from infra.sessions import Session


def tell(stack: str, options: argparse.Namespace, names: Collection[str] | None = None) -> None:
    """Name the sessions that a destroy ends, or an update that some products leave.

    Args:
        stack: Name of the stack.
        options: The command line.
        names: Those products; all of them where None.
    """
    if found := _connected(stack, options, names):
        err.print(
            f"{sessions.counted(found, 'is', 'are')} connected and will be ended:{sessions.listed(found)}", markup=False
        )


def _connected(stack: str, options: argparse.Namespace, names: Collection[str] | None) -> list[Session]:
    """Return who is connected to the stack's databases; nobody where nothing was made yet."""
    outputs = stack_outputs(stack, options, show_secrets=True)
    carried = outputs.get("products") or {}
    facts = {name: one for name, one in carried.items() if names is None or name in names}
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
