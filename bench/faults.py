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
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import peers
from bench.fault_cases import CASES, Bench
from bench.peers import CHATDB, PEERS, Runner
from bench.runners import fresh
from bench.scratch import scratch_server
from embedded.server import EmbeddedServer


def version(runner: Runner, program: str) -> str:
    """Return the number that a runner says is its version; empty where it says none."""
    if not runner.version:
        return ""
    said = subprocess.run([program, runner.version], capture_output=True, text=True, check=False)
    found = re.findall(r"\d+(?:\.\d+)+", said.stdout + said.stderr)
    return f" {found[-1]}" if found else ""  # Liquibase names its Java's first


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
    with scratch_server() as (embedded, scratch):
        good = table(embedded, scratch, [peer for peer in (CHATDB, *PEERS) if not only or peer.name in only])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
