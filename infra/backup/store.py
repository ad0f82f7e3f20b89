"""Where backups are kept: a folder or a bucket of S3, by one interface. Decides which from the text of `backupTo`.

A backup is `<stack>/<product>/<name>/` with database.dump and manifest.json. It is there only once it is proven.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from infra.aws import Access
from infra.backup.errors import StoreError, UnreadableManifestError
from infra.backup.manifest import Manifest

DUMP = "database.dump"
MANIFEST = "manifest.json"
S3 = "s3://"


class Draft(Protocol):
    """A backup that is being made."""

    file: Path
    """Where the dump is written; on this machine."""

    def publish(self, manifest: Manifest) -> str:
        """Make it a backup and return its place."""


class Store(Protocol):
    """A place of backups."""

    def check(self) -> None:
        """Pass where it can be written to.

        Raises:
            StoreError: it cannot.
        """

    def begin(self, *, stack: str, product: str, name: str) -> AbstractContextManager[Draft]:
        """Give a draft for the length of the block; one that is not published leaves nothing."""

    def manifests(self, *, stack: str, product: str) -> Iterator[Manifest]:
        """Yield the manifests of a product's backups, the newest first."""

    def place(self, manifest: Manifest) -> str:
        """Return where a backup lies, as `chatdb restore --from` takes it."""


class Backup(Protocol):
    """One backup, for restoring."""

    manifest: Manifest
    place: str

    def fetched(self) -> AbstractContextManager[Path]:
        """Give its dump as a file on this machine."""


def open_store(where: str, access: Access) -> Store:
    """Return the store that a setting or an option names.

    Args:
        where: A folder, or `s3://bucket/prefix`.
        access: How AWS is reached.

    Raises:
        StoreError: it names neither.
    """
    if where.startswith(S3):
        from infra.backup.s3 import S3Store

        return S3Store(where, access)
    if "://" in where or not where:
        raise StoreError(
            f"{where!r} is no place for backups",
            detail="a folder or s3://bucket/prefix is",
            hint="Give --to FOLDER, or set chatdb:backupTo.",
            state="Nothing was changed.",
        )
    from infra.backup.folder import FolderStore

    return FolderStore(Path(where).expanduser())


def open_backup(where: str, access: Access) -> Backup:
    """Return the backup at a place: its folder or its dump, on this machine or in S3.

    Raises:
        UnreadableManifestError: there is none.
    """
    where = where.rstrip("/").removesuffix(f"/{DUMP}").removesuffix(f"/{MANIFEST}")
    if where.startswith(S3):
        from infra.backup.s3 import S3Backup

        return S3Backup(where, access)
    from infra.backup.folder import FolderBackup

    if not Path(where).expanduser().is_dir():
        raise UnreadableManifestError(where, "there is no such folder")
    return FolderBackup(Path(where).expanduser())
