"""Files that their owner alone may read: states, passphrases, what a command asked for. Called by `engine`, `cli`."""

from __future__ import annotations

import functools
import os
from pathlib import Path


def write_private(path: Path, text: str, *, new: bool = False) -> None:
    """Write a file that its owner alone may read and flush it to the disk; `new`: it must not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "x" if new else "w", encoding="utf-8", opener=functools.partial(os.open, mode=0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, text: str) -> None:
    """Put a file that its owner alone may read in the place of the one that stands, whole or not at all."""
    beside = path.with_name(f"{path.name}.new")
    write_private(beside, text)
    beside.replace(path)
