"""Kill the runner at random moments, hundreds of times, and look whether anybody has to lend a hand.

    .venv/bin/python -m bench.kills                # 300 kills
    .venv/bin/python -m bench.kills --kills 1000 --seed 7

Each database gets three runs that are killed (kill -9) and one that is not: that one must end with status 0 and leave
what a run that was never killed leaves, catalogue, data and ledger. Every second kill is of the server's session, not
of our process: that is a connection lost. Files with and without a transaction.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.peers import OURS, environment
from bench.runners import fresh
from bench.scratch import scratch_server
from embedded.server import ServerFile
from infra.connection import Target, connect

RUNS_KILLED = 3
ROWS = 50_000  # enough that building an index takes a share of the run

PLAIN = """\
-- migrate:up
CREATE TABLE t{n} (id bigint PRIMARY KEY, word text);
CREATE INDEX t{n}_word_idx ON t{n} (word);
-- migrate:down
DROP TABLE t{n};
"""
ONLINE = """\
-- migrate:up transaction:false
INSERT INTO t1 SELECT n, n::text FROM generate_series(1, {rows}) AS n;
CREATE UNIQUE INDEX CONCURRENTLY t1_unique_idx ON t1 (word, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS t1_lower_idx ON t1 (lower(word)) WHERE id > 10;
ALTER TABLE t1 ADD CONSTRAINT t1_id_check CHECK (id > 0) NOT VALID;
ALTER TABLE t1 VALIDATE CONSTRAINT t1_id_check;
REINDEX TABLE CONCURRENTLY t1;
DROP INDEX CONCURRENTLY t1_lower_idx;
UPDATE t1 SET word = word || '!' WHERE id % 10 = 0;
-- migrate:down
"""
LAST = "-- migrate:up\nALTER TABLE t1 ADD COLUMN more int;\n-- migrate:down\nALTER TABLE t1 DROP COLUMN more;\n"

SHAPE = (
    """SELECT c.relname, c.relkind, i.indisvalid, pg_get_indexdef(c.oid) FROM pg_class AS c
    LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
    WHERE c.relnamespace IN ('public'::regnamespace, 'chatdb'::regnamespace) ORDER BY 1""",
    """SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1""",
    "SELECT count(*), sum(length(word)) FROM t1",
    """SELECT sequence, name, checksum, direction, statements_done, statements_total, statements_digest, error,
    finished_at IS NULL FROM chatdb.ledger ORDER BY 1""",
)


def start(target: Target, folder: Path) -> subprocess.Popen[str]:
    """Start a run of the runner."""
    process = subprocess.Popen(
        [*OURS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({}),
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(target)))
    process.stdin.close()
    process.stdin = None
    return process


def shape(target: Target) -> list[list[tuple[object, ...]]]:
    """Return all that must be equal in the end."""
    with connect(target) as connection:
        return [connection.execute(query).fetchall() for query in SHAPE]


def end_sessions(server: ServerFile, target: Target) -> None:
    """End the runner's sessions on the server."""
    with connect(server.target()) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (target.database,)
        )


def undisturbed(server: ServerFile, folder: Path) -> tuple[float, list[list[tuple[object, ...]]]]:
    """Return how long a run takes that nobody kills, in seconds, and what it leaves."""
    target = fresh(server)
    began = time.perf_counter()
    process = start(target, folder)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.perf_counter() - began, shape(target)


def torment(server: ServerFile, folder: Path, kills: int, moment: random.Random) -> tuple[int, int, int]:
    """Return how many kills there were, how many databases needed a hand, and how many ended differently."""
    length_s, expected = undisturbed(server, folder)
    killed = needy = different = 0
    while killed < kills:
        target = fresh(server)
        for _ in range(RUNS_KILLED):
            process = start(target, folder)
            time.sleep(moment.uniform(0.15, 1.0) * length_s)
            if process.poll() is None:
                killed += 1
                if killed % 2:
                    process.kill()
                else:
                    end_sessions(server, target)
            else:
                length_s *= 0.9  # the machine has become faster: the moments must lie within a run
            process.communicate()
        process = start(target, folder)
        _, errors = process.communicate()
        if process.returncode != 0:
            needy += 1
            print(f"a run needs a hand:\n{errors}", file=sys.stderr)
        elif shape(target) != expected:
            different += 1
            print(f"another end:\n{shape(target)}\ninstead of\n{expected}", file=sys.stderr)
    return killed, needy, different


def main() -> int:
    """Kill, count, print; exit with 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None, help="for the same moments again")
    options = parser.parse_args()
    with scratch_server() as (embedded, scratch):
        folder = scratch / "files"
        folder.mkdir()
        for number in range(1, 6):
            (folder / f"{number:04d}_t{number}.sql").write_text(PLAIN.format(n=number), encoding="utf-8")
        (folder / "0006_online.sql").write_text(ONLINE.format(rows=ROWS), encoding="utf-8")
        (folder / "0007_last.sql").write_text(LAST, encoding="utf-8")
        began = time.perf_counter()
        moment = random.Random(options.seed)  # noqa: S311 - moments, not secrets
        killed, needy, different = torment(embedded.start(), folder, options.kills, moment)
    print(f"{killed} kills: {needy} needed a hand, {different} ended differently ({time.perf_counter() - began:.0f} s)")
    return 1 if needy or different else 0


if __name__ == "__main__":
    sys.exit(main())
