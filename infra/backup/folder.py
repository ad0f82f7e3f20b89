"""Backups in a folder. An edge.

A draft is a hidden folder beside its place; renaming it is what makes it a backup, so that there is never half of one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from infra.backup.errors import StoreError
from infra.backup.manifest import Manifest, parse
from infra.backup.store import DUMP, MANIFEST

_DRAFT = ".draft-"
_LOCK = "lock"
JUST_MADE_S = 60
"""A draft that is younger may be about to make its lock."""


class FolderStore:
    """A folder of backups; made where there is none.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def check(self) -> None:
        """Pass where the folder can be made and written to."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            probe = self._root / f"{_DRAFT}{os.getpid()}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise StoreError(
                f"backups cannot be written to {self._root}",
                detail=error.strerror or str(error),
                hint="Name another folder, or make this one writable.",
                state="Nothing was changed.",
            ) from None

    @contextlib.contextmanager
    def begin(self, *, stack: str, product: str, name: str) -> Iterator[FolderDraft]:
        """Give a draft; what killed runs left of theirs is removed."""
        parent = self._parent(stack, product)
        folder = parent / f"{_DRAFT}{name}"
        with self._explained(parent):
            parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(parent)
            folder.mkdir(mode=0o700)
        try:
            with (folder / _LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with self._explained(folder):
                    yield FolderDraft(folder, parent / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def manifests(self, *, stack: str, product: str) -> Iterator[Manifest]:
        """Yield the manifests of a product's backups, the newest first."""
        for file in sorted(self._parent(stack, product).glob(f"[!.]*/{MANIFEST}"), reverse=True):
            yield parse(file.read_text(encoding="utf-8"), place=str(file.parent))

    def place(self, manifest: Manifest) -> str:
        """Return the backup's folder."""
        return str(self._parent(manifest.stack, manifest.product) / manifest.name)

    def _parent(self, stack: str, product: str) -> Path:
        return self._root / (stack or "without-a-stack") / product

    @contextlib.contextmanager
    def _explained(self, place: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the backup cannot be written to {place}",
                detail=f"{error.strerror or error}; {_free(self._root)}",
                hint="Free space there, or name another place with --to.",
                state="The database is as it was; nothing that looks like a backup was left.",
            ) from None


class FolderDraft:
    """A draft in its hidden folder."""

    def __init__(self, folder: Path, final: Path) -> None:
        self.file = folder / DUMP
        self._folder = folder
        self._final = final

    def publish(self, manifest: Manifest) -> str:
        """Write the manifest and rename the folder; both reach the disk before and after."""
        file = self._folder / MANIFEST
        file.write_text(manifest.text(), encoding="utf-8")
        for path in (self.file, file):
            _synchronise(path)
        (self._folder / _LOCK).unlink()
        _synchronise(self._folder)
        self._folder.rename(self._final)
        _synchronise(self._final.parent)
        return str(self._final)


class FolderBackup:
    """One backup in a folder.

    Attributes:
        manifest: What is known of it.
        place: Its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._dump = folder / DUMP
        try:
            text = (folder / MANIFEST).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            text = str(error)
        self.manifest = parse(text, place=self.place)

    @contextlib.contextmanager
    def fetched(self) -> Iterator[Path]:
        """Give its dump."""
        yield self._dump


def _remove_abandoned(parent: Path) -> None:
    """Remove the drafts whose run has ended: its lock went with it."""
    for folder in parent.glob(f"{_DRAFT}*"):
        if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime < JUST_MADE_S:
            continue
        with contextlib.suppress(OSError), (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return f"{shutil.disk_usage(folder).free // 1_000_000} MB are free there"
    return "how much is free there cannot be told"
