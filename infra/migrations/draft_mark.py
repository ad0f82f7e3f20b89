"""Know a draft that nobody has reviewed yet, by the mark at its top. Pure.

Called wherever files are about to run: a draft is for review and is never applied by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from infra.migrations.errors import MigrationError
from infra.migrations.model import Migration

MARK = "-- DRAFT"


class DraftError(MigrationError):
    """A file is a draft still."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"migration {name} is a draft that nobody has reviewed",
            detail="it was made by `chatdb new --from-schema` and begins with its mark",
            hint="Review each statement, write the reason in place of the mark at its top, then run again.",
        )


def refuse(migrations: Sequence[Migration]) -> None:
    """Return where no file is a draft.

    Raises:
        DraftError: one is.
    """
    for migration in migrations:
        if migration.text.startswith(MARK):
            raise DraftError(migration.name)
