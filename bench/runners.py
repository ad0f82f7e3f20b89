"""Our runner and its peers side by side, in one run, medians: applying 100 and 1,000 files, and nothing to do.

    .venv/bin/python -m bench.runners                  # seven rounds
    .venv/bin/python -m bench.runners --rounds 3 --counts 100

A PostgreSQL 18 of its own, with its defaults (each commit is on the disk), on this machine; a fresh database for each
run; each round runs every tool once, so that what else the machine does hits all alike. Whole processes, wall clock.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bench import peers
from bench.peers import FLOOR, OURS, PEERS, write_ours
from embedded.server import EmbeddedServer, ServerFile
from infra.connection import Target, connect
from infra.migrations import directory, ledger, runner
from infra.migrations.options import Options

LEDGER_ROWS = 10_000


def seconds(command: list[str], given: str, extra: dict[str, str]) -> tuple[float, str]:
    """Run a command and return how long it took and what it printed; what it complains of is shown if it fails."""
    began = time.perf_counter()
    done = subprocess.run(
        command, input=given, env=peers.environment(extra), capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
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
    times: dict[str, list[float]] = {"chatdb": [], "chatdb, connecting to last commit": []}
    programs = {}
    for peer in PEERS:
        program = peers.install(peer)
        if program is None:
            print(f"  {peer.name} is left out: it is not installed and pip cannot install it")
            continue
        programs[peer.name] = program
        times[peer.name] = []
        (folder / peer.name).mkdir()
        peer.write(folder / peer.name, count)
    ours = folder / "ours"
    ours.mkdir()
    write_ours(ours, count)
    for _ in range(rounds):
        took, printed = seconds([*OURS, str(ours)], json.dumps(asdict(fresh(server))), {})
        times["chatdb"].append(took)
        times["chatdb, connecting to last commit"].append(float(printed))
        for peer in PEERS:
            if peer.name in programs:
                command, extra = peer.command(programs[peer.name], folder / peer.name, fresh(server))
                times[peer.name].append(seconds(command, "", extra)[0])
    print(f"applying {count} files (table and index each), median of {rounds}:")
    base = statistics.median(times["chatdb"])
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:36} {median:7.3f} s   {median / base:5.2f} x   ({min(measured):.3f} to {max(measured):.3f})")


def nothing_to_do(server: ServerFile, folder: Path, rounds: int) -> None:
    """Print what a run with nothing to do costs over the floor, on ledgers of 10,000 rows."""
    few, many = folder / "few", folder / "many"
    ways: dict[str, tuple[list[str], str]] = {}
    for path, count, name in ((few, 100, "bench_few"), (many, LEDGER_ROWS, "bench_many")):
        path.mkdir()
        write_ours(path, count)
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
        assert runner.apply(target, migrations, options=Options()).names == ()
        title = f"chatdb, {count:,} files"
        ways[title] = ([*OURS, str(path)], json.dumps(asdict(target)))
        ways["python + psycopg: connect, SELECT 1"] = (FLOOR, json.dumps(asdict(target)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds * 3):
        for name, (command, given) in ways.items():
            times[name].append(seconds(command, given, {})[0])
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
    scratch = Path(tempfile.mkdtemp(prefix="chatdb-bench-"))
    scratch.chmod(0o755)
    embedded = EmbeddedServer(scratch / "server")
    try:
        server = embedded.start()
        for count in options.counts:
            folder = scratch / str(count)
            folder.mkdir()
            compare(server, folder, count, options.rounds if count <= 100 else max(3, options.rounds // 2))
        nothing_to_do(server, scratch, options.rounds)
    finally:
        embedded.destroy()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
