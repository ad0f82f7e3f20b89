"""A PostgreSQL that a bench has for itself. Called by every bench that needs one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.server import EmbeddedServer


@contextmanager
def scratch_server() -> Iterator[tuple[EmbeddedServer, Path]]:
    """Give a server, not started, and a folder for the bench's own files; both go with the block."""
    with tempfile.TemporaryDirectory(prefix="chatdb-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the account that runs PostgreSQL passes through it
        server = EmbeddedServer(folder / "server")
        try:
            yield server, folder
        finally:
            server.destroy()
