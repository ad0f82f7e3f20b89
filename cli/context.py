"""What the commands share: the project folder, the chosen stack, its embedded server."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.errors import ConnectionFailedError
from infra.products import PROJECT_ROOT

if TYPE_CHECKING:
    from embedded.server import EmbeddedServer

DEFAULT_STACK = "dev"
_ON = ("true", "yes", "on", "y", "t", "1")  # as the settings' models take them


def project() -> Path:
    """Return the folder of Pulumi.yaml; CHATDB_PROJECT names another one."""
    return Path(os.environ.get("CHATDB_PROJECT", PROJECT_ROOT))


def stack_name(options: argparse.Namespace) -> str:
    """Return the stack that was chosen."""
    return options.stack or DEFAULT_STACK


def stack_folder(stack: str) -> Path:
    """Return where a stack's state and embedded server lie."""
    return project() / ".chatdb" / stack


def has_state(stack: str) -> bool:
    """Tell whether the embedded engine has a state of a stack."""
    return (stack_folder(stack) / "stack.json").exists()


def is_here(stack: str) -> bool:
    """Tell whether something of a stack is here: its state, or its embedded server while the CLI keeps the state."""
    return has_state(stack) or (stack_folder(stack) / "server").exists()


def setting(stack: str, key: str) -> Any:
    """Return one of a stack's settings as its file has it; None where it has none.

    Args:
        stack: Name of the stack.
        key: The key without its namespace, as "serverFile".

    Raises:
        UnknownNameError: there is no such stack.
    """
    from embedded.settings import stack_values

    return stack_values(project(), stack).get(f"chatdb:{key}")


def switched_on(stack: str, key: str) -> bool:
    """Tell whether a stack's file switches a setting on: Pulumi's own CLI writes true as a string."""
    return str(setting(stack, key)).lower() in _ON


def structured_setting(stack: str, key: str) -> Any:
    """Return a setting that is a list or a map, which a file may have as JSON in a string.

    None where the file has none, or none that can be read: what is wrong with it, the program says.
    """
    found = setting(stack, key)
    if not isinstance(found, str):
        return found
    try:
        return json.loads(found)
    except ValueError:
        return None


def require_running(stack: str) -> None:
    """Return where a stack's server is not the embedded one, or that runs.

    Raises:
        ConnectionFailedError: it is the embedded one, and it is stopped.
    """
    server = server_of(stack)
    if server is not None and not server.running():
        raise ConnectionFailedError(
            f"the embedded server of stack {stack} is stopped",
            detail="its data is there; a reboot or `chatdb down` stops it",
            hint=f"Start it: chatdb server start --stack {stack}",
            state="Nothing was changed.",
            sqlstate="08001",
        )


def server_of(stack: str) -> EmbeddedServer | None:
    """Return the stack's embedded server, running or not; None where its settings name another server.

    A `serverFile` elsewhere than `.chatdb/<stack>/server/server.json` is someone else's server: this stack uses it and
    never starts, stops or removes it.

    Raises:
        UnknownNameError: there is no such stack.
    """
    from embedded.server import EmbeddedServer

    folder = stack_folder(stack) / "server"
    file = project() / str(setting(stack, "serverFile") or "")
    return EmbeddedServer(folder) if file == folder / "server.json" else None
