"""Programs from Debian's packages without installing them: fetched by apt-get, unpacked by dpkg-deb into a folder.

By the package lists that the machine has, else by fresh ones of our own; the system's own state stays as it is.
Called by tests.support.pgbouncer and bench.installs.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.majors import NotToBeHad

FETCH_LIMIT_S = 180


def fetch(package: str, folder: Path, *, dependencies: bool = False) -> Path:
    """Fetch a package and unpack it into `folder`/unpacked; return its archive.

    Args:
        package: Its name.
        folder: An existing folder for archives and what is in them.
        dependencies: Whether what it depends on, and the machine has not installed, is fetched and unpacked too.

    Raises:
        NotToBeHad: the machine has no apt-get, or the package cannot be fetched.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NotToBeHad(f"{package} would come by {tool}, which is not on this machine")
    lists = folder / "lists"
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    for mine in ([], ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={folder}"]):
        apt = ["apt-get", "--quiet", "--yes", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", *mine]
        try:
            if mine and not lists.exists():
                (lists / "partial").mkdir(parents=True)
                run([*apt, "update"], folder)
            if dependencies:
                options = ["--no-install-recommends", "--download-only", "-o", f"Dir::Cache::archives={archives}"]
                run([*apt, *options, "install", package], folder)
            else:
                run([*apt, "download", package], archives)
            break
        except NotToBeHad:
            if mine:
                raise
    for archive in archives.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(archive), str(folder / "unpacked")], folder)
    return next(archives.glob(f"{package}_*.deb"))


def run(command: list[str], folder: Path) -> str:
    """Run a program in a folder and return what it prints.

    Raises:
        NotToBeHad: it failed; the last line of its complaint is the reason.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=FETCH_LIMIT_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        words = str(error.stderr or error).strip().splitlines()
        raise NotToBeHad(f"{command[0]}: {words[-1] if words else 'failed'}") from None
    return done.stdout
