"""One engine at a time per stack: a file lock that names its holder. Called by `engine` and `stackfile`.

The kernel lets go of the lock when its holder ends, however it ends: a killed run never leaves a stack locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from embedded.engine import state
from infra.errors import RefusedError


class StackLockedError(RefusedError):
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
                detail=file.read() or "its holder has only just begun",
                hint="Wait until it has ended, or end that process; the lock goes with it.",
            ) from None
        file.truncate(0)
        file.write(f"`{operation}` by process {os.getpid()} on {socket.gethostname()}, since {state.now()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
