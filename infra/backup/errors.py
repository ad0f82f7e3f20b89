"""What can go wrong with backups and restores, each its own class. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import ChatdbError
from infra.words import counted

NOTHING_LEFT = "The database is as it was; nothing that looks like a backup was left."


class BackupError(ChatdbError):
    """A backup could not be made."""


class StoreError(ChatdbError):
    """The place of the backups cannot be written to or read."""


class NotProvenError(ChatdbError):
    """What was restored is not what was dumped.

    Args:
        what: What was restored, as in "the backup of lyra".
        differences: A sentence each.
        state: What state things are in.
    """

    def __init__(self, what: str, differences: Sequence[str], *, state: str) -> None:
        self.differences = tuple(differences)
        count = counted(len(self.differences), "difference")
        super().__init__(
            f"{what} does not hold what was in the database",
            detail="\n  ".join((count, *self.differences)),
            hint="Take another backup; where it stays, report it with this text.",
            state=state,
        )


class CorruptedBackupError(ChatdbError):
    """The dump is not the file that was proven."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"the backup {place} is corrupted",
            detail=reason,
            hint="Restore another backup of this database; `chatdb backup` takes a new one where it still stands.",
            state="Nothing was changed.",
        )


class UnreadableManifestError(ChatdbError):
    """A manifest cannot be read."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(
            f"the manifest of the backup {place} cannot be read",
            detail=reason,
            hint="Name a folder that `chatdb backup` made, or take a new backup.",
            state="Nothing was changed.",
        )
