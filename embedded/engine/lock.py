"""One engine at a time per stack: a file lock that names its holder. Called by `deployment`, `state` and `config`.

The kernel lets go of the lock when its holder ends, however it ends: a killed run never leaves a stack locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import ChatdbError


class StackLockedError(ChatdbError):
    """Another run is at work on the stack."""


@contextlib.contextmanager
def hold(folder: Path, *, stack: str, operation: str) -> Iterator[None]:
    """Hold the stack's lock while the block runs.

    Args:
        folder: The stack's own folder; the file `lock` is made in it.
        stack: Name of the stack, for the error.
        operation: What the holder does, for the one who finds it locked.

    Raises:
        StackLockedError: Another process, or another run in this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StackLockedError(
                f"stack {stack} is locked by another run",
                detail=_sentence(file.read()),
                hint="Wait until it has ended, or end that process; the lock goes with it.",
                state="Nothing was changed.",
            ) from None
        file.truncate(0)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "operation": operation,
        }
        file.write(json.dumps(holder))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _sentence(text: str) -> str:
    """Return who holds the lock; the file may be half written for an instant."""
    try:
        holder = json.loads(text)
    except ValueError:
        return "its holder has only just begun"
    return f"`{holder['operation']}` by process {holder['pid']} on {holder['host']}, since {holder['since']}"
