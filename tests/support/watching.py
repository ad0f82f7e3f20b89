"""See what others on the machine and on a server could see while commands run: processes, environments, statements.

Called by the tests that look for secrets. Linux alone has /proc; elsewhere the process list is not looked at.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from infra.connection import Target, connect

EVERY_S = 0.05
PROC = Path("/proc")
# psql has no other way to be given a password: the environment is its user's own, the command line is everyone's.
HANDED_ON = (b"PGPASSWORD=",)


class Seen:
    """What was seen so far, each text once, with where it was."""

    def __init__(self) -> None:
        self.command_lines: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.statements: set[str] = set()
        self.problems: list[str] = []
        self._known: set[tuple[str, bytes]] = set()

    def processes(self, mark: bytes) -> None:
        """Look at every process; the environment of those that have `mark` in it, without what is handed on."""
        for folder in PROC.glob("[0-9]*"):
            # A process may end between two looks.
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes()
                if not line or (folder.name, line) in self._known:
                    continue
                self._known.add((folder.name, line))
                self.command_lines.add(line)
                variables = (folder / "environ").read_bytes().split(b"\0")
                if any(mark in variable for variable in variables):
                    self.environments |= {one for one in variables if not one.startswith(HANDED_ON)}

    def activity(self, connection: psycopg.Connection[tuple[str, str, str]]) -> None:
        """Look at what every session of the server does."""
        rows = connection.execute("SELECT query, application_name, coalesce(usename::text, '') FROM pg_stat_activity")
        self.statements |= {text for row in rows for text in row}


@contextlib.contextmanager
def watching(target: Target, *, mark: str) -> Iterator[Seen]:
    """Watch for the length of the block.

    Args:
        target: A server, as superuser.
        mark: Text that the environment of the commands in question has, such as the folder they run in.
    """
    seen, ended = Seen(), threading.Event()

    def watch(connection: psycopg.Connection[tuple[str, str, str]]) -> None:
        try:
            while not ended.is_set():
                seen.processes(mark.encode())
                seen.activity(connection)
                time.sleep(EVERY_S)
        except psycopg.Error as error:
            seen.problems.append(str(error))

    with connect(target) as connection:
        connection.execute("SET log_statement = 'none'; SET log_min_duration_statement = -1")
        thread = threading.Thread(target=watch, args=(connection,))
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()
