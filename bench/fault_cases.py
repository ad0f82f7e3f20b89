"""The cases of bench.faults: what goes wrong, and what a runner should make of it.

A case gets a runner on a fresh database with an empty folder, and says in a cell what happened.
"""

from __future__ import annotations

import collections
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench import peers
from bench.changes import Change
from bench.peers import Runner
from infra.connection import Target, connect

LIMIT_S = 120  # a runner that has not ended by then hangs
KEEP_COUNT = Change(1, ("CREATE TABLE applied (number int)",))


class Cell(NamedTuple):
    """What happened, and whether that is as it should be."""

    text: str
    good: bool

    def __str__(self) -> str:
        return self.text if self.good else f"**{self.text}**"


class Bench:
    """A runner, its program and its folder, on one fresh database."""

    def __init__(self, runner: Runner, program: str, folder: Path, target: Target) -> None:
        self.runner = runner
        self.program = program
        self.folder = folder
        self.target = target

    def write(self, *changes: Change) -> None:
        """Write the files of some changes."""
        self.runner.write(self.folder, changes)

    def start(self) -> subprocess.Popen[str]:
        """Start the runner; it is in the middle of its work afterwards, or has ended."""
        command = self.runner.command(self.program, self.folder, self.target)
        process = subprocess.Popen(
            command.line,
            env=peers.environment(command.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(command.given)
        process.stdin.close()
        return process

    def run(self) -> int:
        """Run the runner and return its exit status."""
        return ended(self.start())

    def counted(self) -> collections.Counter[int]:
        """Return how often each number was written into the table `applied`."""
        with connect(self.target) as connection:
            return collections.Counter(number for (number,) in connection.execute("SELECT number FROM applied"))

    def index(self) -> str:
        """Return what is there of the index word_idx."""
        query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('word_idx')"
        with connect(self.target) as connection:
            row = connection.execute(query).fetchone()
        return "no index" if row is None else "valid" if row[0] else "INVALID"

    def await_statement(self, pattern: str, process: subprocess.Popen[str]) -> None:
        """Wait until a session of the database runs a statement of the pattern."""
        query = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND state = 'active' AND query ~ %s"
        )
        with connect(self.target.to(application_name="bench")) as connection:
            until = time.monotonic() + LIMIT_S
            while process.poll() is None and time.monotonic() < until:
                if connection.execute(query, (pattern,)).rowcount:
                    return
                time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> int:
    """Wait for a runner and return its exit status; one that hangs is ended."""
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def said(status: int) -> str:
    """Return in words how a runner ended."""
    return "status 0" if status == 0 else f"waits {LIMIT_S} s" if status == -signal.SIGKILL else "error"


def counting(number: int) -> Change:
    """Return a change that leaves a trace of each time it is applied."""
    return Change(number, (f"INSERT INTO applied VALUES ({number})",))


def together(count: int) -> Callable[[Bench], Cell]:
    """Return the case of so many first runs at once."""

    def case(bench: Bench) -> Cell:
        tables = [Change(n, (f"CREATE TABLE t{n} (id int)", *counting(n).statements)) for n in range(2, 11)]
        bench.write(KEEP_COUNT, *tables)
        statuses = [ended(process) for process in [bench.start() for _ in range(count)]]
        failed = sum(status != 0 for status in statuses)
        if failed:
            return Cell(f"{failed} of {count} fail", good=False)
        once = bench.counted() == dict.fromkeys(range(2, 11), 1)
        return Cell("ok" if once else "not applied once", once)

    return case


def edited(bench: Bench) -> Cell:
    """An applied file is edited: the next run refuses it."""
    bench.write(KEEP_COUNT, counting(2), counting(3))
    if bench.run() != 0:
        return Cell("-", good=False)
    bench.write(KEEP_COUNT, Change(2, ("INSERT INTO applied VALUES (99)",)), counting(3))
    return Cell("ok: error", good=True) if bench.run() != 0 else Cell("not seen", good=False)


def late(bench: Bench) -> Cell:
    """A file comes that is numbered below the newest applied one: the next run refuses it."""
    bench.write(KEEP_COUNT, counting(2), counting(4))
    if not bench.runner.late:
        return Cell("-", good=True)
    if bench.run() != 0:
        return Cell("ok: gap refused", good=True)
    bench.write(KEEP_COUNT, counting(2), counting(3), counting(4))
    if bench.run() != 0:
        return Cell("ok: error", good=True)
    return Cell("applied" if bench.counted()[3] else "skipped, status 0", good=False)


def failed_index(condition: str) -> Callable[[Bench], Cell]:
    """Return the case of a unique index that fails at first."""

    def case(bench: Bench) -> Cell:
        fill = "INSERT INTO words VALUES (1, 'a'), (2, 'a')"
        build = f"CREATE UNIQUE INDEX CONCURRENTLY {condition} word_idx ON words (word)"
        bench.write(Change(1, ("CREATE TABLE words (id int, word text)", fill)), Change(2, (build,), transaction=False))
        if bench.run() == 0 or bench.index() != "INVALID":
            return Cell("-", good=False)
        with connect(bench.target) as connection:
            connection.execute("DELETE FROM words WHERE id = 2")
        return _index_after(bench)

    return case


def _index_after(bench: Bench) -> Cell:
    status, index = bench.run(), bench.index()
    good = (status, index) == (0, "valid")
    return Cell("ok" if good else f"{said(status)}, {index}", good)


def killed_in_file(bench: Bench) -> Cell:
    """The runner is killed in the middle of a file."""
    slow = Change(2, ("INSERT INTO applied VALUES (2)", "SELECT pg_sleep(2)", "INSERT INTO applied VALUES (22)"))
    bench.write(KEEP_COUNT, slow, counting(3))
    process = bench.start()
    bench.await_statement("pg_sleep", process)
    process.kill()
    process.wait()
    status, counted = bench.run(), bench.counted()
    if status != 0:
        return Cell(said(status), good=False)
    once = counted == {2: 1, 22: 1, 3: 1}
    return Cell("ok" if once else "not applied once", once)


def killed_in_index(bench: Bench) -> Cell:
    """The runner is killed while an index is built concurrently, and its session ends with it."""
    table = Change(1, ("CREATE TABLE words (id int, word text)",))
    bench.write(table)
    if bench.run() != 0:
        return Cell("-", good=False)
    bench.write(table, Change(2, ("CREATE INDEX CONCURRENTLY word_idx ON words (word)",), transaction=False))
    with connect(bench.target.to(application_name="writer")) as writer, writer.transaction():
        writer.execute("INSERT INTO words VALUES (1, 'a')")  # the build waits for this transaction
        process = bench.start()
        bench.await_statement("CREATE INDEX CONCURRENTLY", process)
        process.kill()
        process.wait()
        with connect(bench.target) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name <> 'writer' AND pid <> pg_backend_pid()"
            )
    return _index_after(bench)


CASES: dict[str, Callable[[Bench], Cell]] = {
    "4 at once": together(4),
    "20 at once": together(20),
    "edited file": edited,
    "late file": late,
    "failed CIC": failed_index(""),
    "IF NOT EXISTS": failed_index("IF NOT EXISTS"),
    "killed in a file": killed_in_file,
    "killed in CIC": killed_in_index,
}
