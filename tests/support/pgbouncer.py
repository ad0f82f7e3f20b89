"""PgBouncer in front of a test server: the one that is named or installed, else Debian's package, fetched once.

Named by the environment (CHATDB_PGBOUNCER=/usr/sbin/pgbouncer) or found on PATH. What apt brings is unpacked into
.chatdb/pgbouncer, so nothing is installed. Called by the fixture `pooled` of tests/conftest.py.

Source: https://www.pgbouncer.org/config.html
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from embedded import account, programs
from infra.connection import Target
from infra.products import PROJECT_ROOT
from tests.support import debian
from tests.support.majors import NotToBeHad

CACHE = PROJECT_ROOT / ".chatdb" / "pgbouncer"
START_LIMIT_S = 20
# Its standard input is a pipe from the test run: it ends with the run, however that ends.
RUN = '"$@" & read _; kill -KILL $!; wait $!'

Mode = Literal["transaction", "session"]


@contextlib.contextmanager
def pooler(
    target: Target, *, mode: Mode = "transaction", size: int = 3, logins: tuple[Target, ...] = ()
) -> Iterator[Target]:
    """Run a PgBouncer for the length of the block, with SCRAM passwords on both of its sides.

    Args:
        target: A login on the server behind it; every database of that server can be reached.
        mode: What a client is given a session of the server for.
        size: Sessions that the pooler keeps for a login and a database.
        logins: Further logins that it lets in.

    Yields:
        The same login and database through the pooler, `to(user=…, password=…)` gives the others.

    Raises:
        NotToBeHad: there is none on this machine, and it cannot be fetched.
    """
    found = program()
    runner = account.choose(PROJECT_ROOT)  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="chatdb-pgbouncer-") as name:
        folder = Path(name)
        if CACHE in found.parents:  # the project may lie where that account cannot go
            found = Path(shutil.copytree(CACHE / "programs", folder / "programs")) / found.name
        users = folder / "users.txt"
        users.write_text("".join(f'"{login.user}" "{login.password}"\n' for login in (target, *logins)), "utf-8")
        log_file = folder / "log"
        log_file.touch()
        os.chown(folder, runner.uid, runner.gid)
        os.chown(users, runner.uid, runner.gid)
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(found.parent)}
        for _ in range(3):  # a port can be taken after it was found free
            port = programs.free_port()
            (folder / "pgbouncer.ini").write_text(_configuration(target, port, users, mode, size), "utf-8")
            with log_file.open("ab") as log:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", RUN, "sh", str(found), str(folder / "pgbouncer.ini")],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=environment,
                    **runner.process_options(),
                )
            try:
                if _listens(port, log_file):
                    yield target.to(host=programs.HOST, port=port, sslmode="disable")
                    return
            finally:
                process.communicate()
        raise AssertionError(f"PgBouncer does not start: {log_file.read_text(encoding='utf-8')}")


def _configuration(target: Target, port: int, users: Path, mode: Mode, size: int) -> str:
    return (
        f"[databases]\n* = host={target.host} port={target.port}\n[pgbouncer]\nlisten_addr = {programs.HOST}\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {users}\n"
        f"pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 100\n"
    )


def _listens(port: int, log_file: Path) -> bool:
    """Wait until it takes connections; False where it has given up."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if "process up" in log_file.read_text(encoding="utf-8"):
            with contextlib.suppress(OSError), socket.create_connection((programs.HOST, port)):
                return True
        if "FATAL" in log_file.read_text(encoding="utf-8"):
            break
        time.sleep(0.02)
    return False


def program() -> Path:
    """Return the path of PgBouncer's program.

    Raises:
        NotToBeHad: what is named is not there, or apt cannot fetch the package.
    """
    if named := os.environ.get("CHATDB_PGBOUNCER"):
        if Path(named).is_file():
            return Path(named)
        raise NotToBeHad(f"CHATDB_PGBOUNCER is {named}, which is no file")
    if installed := shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin"):
        return Path(installed)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of one run fetch it once
        folder = CACHE / "programs"
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
                _fetch(Path(scratch))
                (Path(scratch) / "programs").rename(folder)
    return folder / "pgbouncer"


def _fetch(scratch: Path) -> None:
    """Put the program, and those of its libraries that the machine lacks, into the folder `programs` of `scratch`."""
    made = scratch / "programs"
    made.mkdir()
    archive = debian.fetch("pgbouncer", scratch)
    for file in (scratch / "unpacked").rglob("sbin/pgbouncer"):
        file.rename(made / "pgbouncer")
    if wanted := _missing(made):
        depends = debian.run(["dpkg-deb", "--field", str(archive), "Depends"], scratch)
        for package in re.findall(r"\blib(?!c6\b)[\w.+-]+", depends):
            debian.fetch(package, scratch)
        for file in (scratch / "unpacked").rglob("*.so.*"):
            if file.name in wanted:
                shutil.copy(file, made / file.name)
    if missing := _missing(made):
        raise NotToBeHad(f"Debian's PgBouncer lacks {', '.join(sorted(missing))} here")


def _missing(folder: Path) -> set[str]:
    """Return the libraries that the fetched program would not find."""
    found = subprocess.run(
        ["ldd", str(folder / "pgbouncer")],
        env={"LC_ALL": "C", "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(re.findall(r"(\S+) => not found", found.stdout))
