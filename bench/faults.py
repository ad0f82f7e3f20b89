"""What runners do when something goes wrong, ours and its peers side by side: one table.

    .venv/bin/python -m bench.faults                          # all that can be had on this machine
    .venv/bin/python -m bench.faults --only chatdb dbmate

Each case has a fresh database of a PostgreSQL 18 of its own. "ok" is the end that is wanted; ours must be that in each
case, else the exit status is 1. The cases, as in the table's columns:

- 4 or 20 first runs at once: how many fail, and whether each file was applied once.
- an applied file was edited, a file below the newest applied one has come late: does the next run say so?
- CREATE UNIQUE INDEX CONCURRENTLY fails on duplicates, they are mended, the runner runs again; then the same with
  IF NOT EXISTS: is the unique index there and valid?
- kill -9 in the middle of a file, and run again; the same during CREATE INDEX CONCURRENTLY, whose session ends too.
"""

from __future__ import annotations

import argparse
import collections
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import peers
from bench.changes import Change
from bench.peers import CHATDB, PEERS, Runner
from bench.runners import fresh
from embedded.server import EmbeddedServer
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
    return Cell("ok" if good else f"{'error' if status else 'status 0'}, {index}", good)


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
        return Cell("error", good=False)
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


def version(runner: Runner, program: str) -> str:
    """Return the number that a runner says is its version; empty where it says none."""
    if not runner.version:
        return ""
    said = subprocess.run([program, runner.version], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return f" {found.group()}" if found else ""


def table(embedded: EmbeddedServer, scratch: Path, runners: Sequence[Runner]) -> bool:
    """Print a row for each runner; return whether ours is good in every case."""
    programs = peers.at_hand(runners)
    print(f"| {'runner':22} | {' | '.join(f'{name:18}' for name in CASES)} |")
    print("|" + "---|" * (len(CASES) + 1))
    good = True
    for runner in runners:
        if runner.name not in programs:
            continue
        cells = []
        for number, case in enumerate(CASES.values()):
            folder = scratch / f"{runner.name}_{number}"
            folder.mkdir()
            cells.append(case(Bench(runner, programs[runner.name], folder, fresh(embedded.start()))))
            if runner is CHATDB:
                good &= cells[-1].good
        title = f"{runner.name}{version(runner, programs[runner.name])}"
        print(f"| {title:22} | {' | '.join(f'{cell!s:18}' for cell in cells)} |", flush=True)
    return good


def main() -> int:
    """Start a server, let every runner go through every case, tear it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[runner.name for runner in (CHATDB, *PEERS)], help="these runners")
    only = parser.parse_args().only
    scratch = Path(tempfile.mkdtemp(prefix="chatdb-bench-"))
    scratch.chmod(0o755)
    embedded = EmbeddedServer(scratch / "server")
    try:
        good = table(embedded, scratch, [peer for peer in (CHATDB, *PEERS) if not only or peer.name in only])
    finally:
        embedded.destroy()
        shutil.rmtree(scratch, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
