"""What can go wrong while migrations are read, applied or undone, each its own class. Pure.

Raised by `directory`, `lock`, `session` and `runner`. Mistakes in files and ledgers are in `errors`.
"""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import ChatdbError
from infra.migrations.errors import label_ranges, ranges
from infra.migrations.model import Blocker, Migration


class FolderError(ChatdbError):
    """The folder of the migrations cannot be read."""

    def __init__(self, folder: str, error: OSError) -> None:
        super().__init__(
            f"cannot read the migrations in {error.filename or folder}",
            detail=error.strerror or str(error),
            hint="Check the path and its permissions.",
            state="Nothing was changed.",
        )


class RunnerBusyError(ChatdbError):
    """Another runner holds the lock of this database for longer than we wait."""

    def __init__(self, label: str, holder: Sequence[Blocker], waited_s: float) -> None:
        super().__init__(
            f"another run is migrating {label}",
            detail="; ".join(map(str, holder)) or "its session could not be seen",
            hint="Wait until it ends, or end it: SELECT pg_terminate_backend(pid).",
            state=f"Nothing was changed; waited {waited_s:.0f} s.",
        )


class PooledConnectionError(ChatdbError):
    """The connection goes through a pooler that changes servers between transactions."""

    def __init__(self, label: str) -> None:
        super().__init__(
            f"{label} is a pooled connection in transaction mode",
            detail="two transactions of this one connection ran in different sessions of the server, so its advisory "
            "lock and its settings would not hold",
            hint="Use the direct connection: on Neon the host without `-pooler`, on Supabase port 5432, with PgBouncer "
            "the server behind it.",
            state="Nothing was changed.",
        )


class LedgerAccessError(ChatdbError):
    """The role may not read, make or write the ledger."""


class MigrationFailedError(ChatdbError):
    """A statement of a migration failed.

    Args:
        migration: Its name.
        line: Line of the file, 0 where it is not known.
        statement: Number of the statement in its section, 0 where it is not known.
    """

    def __init__(
        self,
        message: str,
        *,
        migration: str,
        line: int,
        statement: int,
        detail: str,
        hint: str,
        state: str,
        sqlstate: str | None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint, state=state, sqlstate=sqlstate)
        self.migration = migration
        self.line = line
        self.statement = statement


class LockWaitError(MigrationFailedError):
    """A statement did not get its lock within its budget; the sessions in its way are named."""


class InvalidIndexError(ChatdbError):
    """An index of the name stands already, INVALID and not of our making, or of another shape."""


class ConfirmationError(ChatdbError):
    """Rows would be lost and the phrase that allows it was not given exactly."""

    def __init__(self, phrase: str, given: str | None, lost: str) -> None:
        said = "no phrase was given" if given is None else "another phrase was given"
        super().__init__(
            "the rollback was not confirmed",
            detail=f"{lost}; {said}",
            hint=f"Type exactly: {phrase}",
            state="Nothing was changed.",
        )


class ProductionError(ChatdbError):
    """A rollback was asked for on a stack that is marked as production."""

    def __init__(self, stack: str) -> None:
        super().__init__(
            f"{stack or 'this stack'} is marked as production: it is not rolled back",
            detail="a down section deletes what was built, with its rows",
            hint="Write a new migration that leads forward; where it must be: --override-production.",
            state="Nothing was changed.",
        )


def standing(applied: Sequence[int], failed: str, pending: Sequence[Migration], *, verb: str = "applied") -> str:
    """Return where things stand: `applied 0001, 0002; failed 0003 …; pending 0004`.

    Args:
        applied: Versions that this run has finished, in their order.
        failed: What is to be said of the one that failed; empty where none did.
        pending: Migrations that were not begun.
        verb: What was done to the finished ones.
    """
    done = label_ranges(ranges(sorted(applied))) or "nothing"
    left = label_ranges(ranges(sorted(migration.version for migration in pending)))
    parts = [f"{verb} {done}", failed, f"pending {left}" if left and verb == "applied" else ""]
    if left and verb != "applied":
        parts[2] = f"still applied {left}"
    return "; ".join(part for part in parts if part) + "."
