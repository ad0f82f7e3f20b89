"""Our runner and its peers side by side, in one run, medians: applying 100 and 1,000 files, and nothing to do.

    .venv/bin/python -m bench.runners                  # seven rounds
    .venv/bin/python -m bench.runners --rounds 3 --counts 100

A PostgreSQL 18 of its own, with its defaults (each commit is on the disk), on this machine; a fresh database for each
run; each round runs every tool once, so that what else the machine does hits all alike. Whole processes, wall clock.
No database is dropped before the end: ext4 takes no inode that was freed within the last minutes and looks at each of
them for every file it makes, so that what is dropped makes all that follows slower, up to several times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from bench import peers
from bench.changes import tables
from bench.peers import CHATDB, FLOOR, PEERS, PSQL, Command
from bench.scratch import scratch_server
from embedded.server import ServerFile
from infra.connection import Target, connect
from infra.migrations import directory, ledger
from infra.migrations import runner as engine
from infra.migrations.options import Options

LEDGER_ROWS = 10_000
WITHOUT_START = "chatdb, connecting to last commit"


def seconds(command: Command) -> tuple[float, str]:
    """Run a command and return how long it took and what it printed; what it complains of is shown if it fails."""
    surroundings = peers.environment(command.environment)
    began = time.perf_counter()
    done = subprocess.run(
        command.line, input=command.given, env=surroundings, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command.line)} failed:\n{done.stdout}\n{done.stderr}")
    return took, done.stdout


def fresh(server: ServerFile, name: str = "bench") -> Target:
    """Return an empty database, and let the server write out what is behind it."""
    with connect(server.target()) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        connection.execute("CHECKPOINT")
    return server.target(name)


def compare(server: ServerFile, folder: Path, count: int, rounds: int) -> None:
    """Print the medians of applying so many files, for us and for every peer that is there."""
    timed = [peer for peer in PEERS if count <= peer.timed_to]
    programs = {CHATDB.name: "", PSQL.name: PSQL.install(), **peers.at_hand(timed)}
    runners = [runner for runner in (CHATDB, PSQL, *timed) if runner.name in programs]
    times: dict[str, list[float]] = {CHATDB.name: [], WITHOUT_START: [], **{name: [] for name in programs}}
    hundreds: list[list[float]] = []
    for runner in runners:
        (folder / runner.name).mkdir()
        runner.write(folder / runner.name, tables(count))
    for turn in range(rounds):
        for number, runner in enumerate(runners):
            target = fresh(server, f"bench_{count}_{turn}_{number}")
            command = runner.command(programs[runner.name], folder / runner.name, target)
            took, printed = seconds(command)
            times[runner.name].append(took)
            if runner is CHATDB:
                whole, *ends = map(float, printed.split())
                times[WITHOUT_START].append(whole)
                hundreds.append([end - begin for begin, end in pairwise([0.0, *ends])])
    print(f"applying {count} files (table and index each), median of {rounds}:")
    base = statistics.median(times[CHATDB.name])
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:36} {median:7.3f} s   {median / base:5.2f} x   ({min(measured):.3f} to {max(measured):.3f})")
    if count > 100:
        medians = (f"{statistics.median(one) * 10:.2f}" for one in zip(*hundreds, strict=True))
        print(f"  {CHATDB.name}, ms a file in each hundred, the first with connecting: {' '.join(medians)}")


def nothing_to_do(server: ServerFile, folder: Path, rounds: int) -> None:
    """Print what a run with nothing to do costs over the floor, on ledgers of 10,000 rows."""
    few, many = folder / "few", folder / "many"
    ways: dict[str, Command] = {}
    for path, count, name in ((few, 100, "bench_few"), (many, LEDGER_ROWS, "bench_many")):
        path.mkdir()
        CHATDB.write(path, tables(count))
        target = fresh(server, name)
        migrations = directory.read(path)
        with connect(target) as connection:
            ledger.ensure(connection)
            with connection.transaction():
                for done in range(LEDGER_ROWS):
                    # Up and down in turns for the same files, or each once: a history that could have been.
                    direction = "down" if done // count % 2 else "up"
                    connection.execute(ledger.append(migrations[done % count], direction))
            if count < LEDGER_ROWS:
                for migration in migrations:
                    connection.execute(ledger.append(migration, "up"))
            connection.execute("VACUUM ANALYZE chatdb.ledger")
        assert engine.apply(target, migrations, options=Options()).names == ()
        title = f"chatdb, {count:,} files"
        ways[title] = CHATDB.command("", path, target)
        ways["python + psycopg: connect, SELECT 1"] = Command(FLOOR, given=json.dumps(asdict(target)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds * 3):
        for name, command in ways.items():
            times[name].append(seconds(command)[0])
    floor = statistics.median(times["python + psycopg: connect, SELECT 1"])
    print(f"nothing to do, ledger of {LEDGER_ROWS:,} rows, median of {rounds * 3}:")
    for name, measured in times.items():
        print(
            f"  {name:36} {statistics.median(measured):7.3f} s   {statistics.median(measured) / floor:5.2f} x the floor"
        )


def main() -> None:
    """Start a server, compare, tear it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 1000])
    options = parser.parse_args()
    with scratch_server() as (embedded, scratch):
        server = embedded.start()
        for count in options.counts:
            folder = scratch / str(count)
            folder.mkdir()
            compare(server, folder, count, options.rounds if count <= 100 else max(3, options.rounds // 2))
        nothing_to_do(server, scratch, options.rounds)


if __name__ == "__main__":
    main()
