"""Choose the system account that the embedded PostgreSQL runs as, and a home which that account can enter.

PostgreSQL refuses to run as root. Reads the file system and the account database; makes one folder under /var/tmp or
/tmp where the project lies out of the account's reach. Called by embedded.server alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import ChatdbError, RefusedError

BASES = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - the folder made there is 0700 and its owner is checked
HOME_NAME = re.compile(r"chatdb-[0-9a-f]{16}(-\d+)?")


@dataclass(frozen=True, kw_only=True)
class Account:
    """A system account.

    Attributes:
        name: Its name.
        uid: Its numeric id.
        gid: Its primary group.
        switched: Whether it is another account than the one that runs this process (root).
    """

    name: str
    uid: int
    gid: int
    switched: bool

    def process_options(self) -> dict[str, Any]:
        """Return what `subprocess.run` needs to run a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switched else {}


def choose(folder: Path) -> Account:
    """Return the account for a server of `folder`: the invoking one, or where that is root an unprivileged one.

    Raises:
        ChatdbError: this process is root and no unprivileged account is known to the machine.
    """
    if os.geteuid() != 0:
        return named("")
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    owner = existing.stat().st_uid
    for entry in _entries(owner):
        if entry.pw_uid != 0:
            return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switched=True)
    raise RefusedError(
        "PostgreSQL cannot be run as root, and there is no other account to run it as",
        detail="looked for the owner of the project folder, postgres and nobody in the account database",
        hint="Run the command as an ordinary user, or add one: `useradd --system postgres`.",
    )


def named(name: str) -> Account:
    """Return an account by its name; the invoking one where it is empty.

    Raises:
        ChatdbError: there is none of that name any more, or this process may not switch to it.
    """
    if not name:
        return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switched=False)
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(name)
        if os.geteuid() == 0 or os.geteuid() == entry.pw_uid:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switched=os.geteuid() == 0)
    raise RefusedError(
        f"the server cannot be run as the account {name}",
        detail=f"it was made by root to run as {name}",
        hint="Run the command as root.",
    )


def _entries(owner: int) -> Iterator[pwd.struct_passwd]:
    """Yield the candidates; initdb needs an entry in the account database, so a bare number will not do."""
    with contextlib.suppress(KeyError):
        yield pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            yield pwd.getpwnam(name)


def may_enter(account: Account, folder: Path) -> bool:
    """Whether the account may pass through `folder` and everything above it."""
    folder = folder.resolve()
    return not account.switched or all(_permits(account, path, 1) for path in (folder, *folder.parents))


def may_read(account: Account, file: Path) -> bool:
    """Whether the account may read `file`."""
    return not account.switched or (may_enter(account, file.parent) and _permits(account, file.resolve(), 4))


def _permits(account: Account, path: Path, bit: int) -> bool:
    """Whether the mode of `path` gives the account a permission (4 read, 1 enter)."""
    found = path.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode >> 6 & bit)
    return bool(found.st_mode >> (3 if found.st_gid == account.gid else 0) & bit)


def make_home(account: Account, folder: Path) -> Path:
    """Make a folder of the account's own, outside `folder`, named after it; a name that is taken is never reused.

    Raises:
        ChatdbError: neither /var/tmp nor /tmp takes it.
    """
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    for base in BASES:
        # A copy of the programs is run from there.
        if not base.is_dir() or os.statvfs(base).f_flag & getattr(os, "ST_NOEXEC", 0) or not may_enter(account, base):
            continue
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            home = base / f"chatdb-{digest}{suffix}"
            try:
                home.mkdir(mode=0o700)
            except FileExistsError:
                continue
            os.chown(home, account.uid, account.gid)
            return home
    raise RefusedError(
        f"there is no place for the database files that {account.name} can enter",
        detail=f"{folder} is closed to it, and neither /var/tmp nor /tmp takes a folder with programs",
        hint="Put the project into a folder that other accounts may enter, or run as an ordinary user.",
    )


def remove_home(account: Account, home: Path) -> None:
    """Remove a folder that `make_home` made; anything else is left alone.

    Raises:
        ChatdbError: the folder is not one of ours.
    """
    try:
        found = home.lstat()
    except FileNotFoundError:
        return
    ours = home.parent in BASES and HOME_NAME.fullmatch(home.name) and found.st_uid in {account.uid, os.geteuid()}
    if not ours or not stat.S_ISDIR(found.st_mode):
        raise ChatdbError(
            f"{home} is not removed",
            detail="server.json names it, but its name, place or owner is not that of a folder made here",
            hint="Look at it, and remove it by hand if it is yours.",
        )
    shutil.rmtree(home)


def copy_programs(account: Account, bin_folder: Path, home: Path) -> Path:
    """Copy PostgreSQL's programs, libraries and shared files to `home` and return the copy's bin folder."""
    root = bin_folder.parent
    copy = home / "package" / root.name
    shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    # A Python wheel keeps the libraries that its programs were linked to beside the package, and finds them from there.
    libraries = root.parent.parent / f"{root.parent.name}.libs"
    if libraries.is_dir():
        copy = (home / "package").rename(home / root.parent.name) / root.name
        shutil.copytree(libraries, home / libraries.name)
    for parent, _, files in os.walk(home):
        for path in (Path(parent), *(Path(parent, name) for name in files)):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (stat.S_IRWXU if path.is_dir() else stat.S_IRUSR))
    return copy / bin_folder.name
