"""What row security costs: the latest 50 messages of a conversation out of 2 M, with it and without it.

    .venv/bin/python -m bench.row_security                   # 2 M messages, 10,000 transactions each way
    .venv/bin/python -m bench.row_security --rows 200000     # quicker

One table, one query, the transaction of the service (BEGIN, set_config, SELECT, COMMIT) on prepared statements. Without
row security is a role that has the same grants and BYPASSRLS: everything but the policy is the same, the pages too. The
two take turns, transaction by transaction, over the same conversations, so that what else the machine does hits both.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any

import psycopg

from bench.online import product_database
from bench.scratch import scratch_server
from embedded.server import ServerFile
from infra import products
from infra.connection import Target, connect
from infra.migrations import directory, runner
from infra.migrations.options import Options

LIMIT = 1.05
CONVERSATIONS = 1000  # each is of a user of its own
LATEST_ROWS = 50
LATEST = (
    "SELECT id, sender_type, content, created_at FROM chat.messages "
    f"WHERE conversation_id = %s AND user_id = %s ORDER BY created_at DESC, id DESC LIMIT {LATEST_ROWS}"
)
ROLES = {"with row security": "fg_user", "without it": "bench_reader"}


def reader(target: Target, role: str) -> psycopg.Connection[Any]:
    """Connect and act as a role; statements are prepared from the first time on."""
    connection = psycopg.connect(**target.parameters(), autocommit=True)
    connection.prepare_threshold = 0
    connection.execute(f"SET ROLE {role}".encode())
    return connection


def read(connection: psycopg.Connection[Any], user: str) -> float:
    """Read the latest messages of a user's conversation as the service does; return the time in milliseconds."""
    began = time.perf_counter()
    with connection.transaction():
        connection.execute("SELECT set_config('app.current_user_id', %s, true)", [user])
        rows = connection.execute(LATEST, [user, user]).fetchall()
    took = (time.perf_counter() - began) * 1000
    assert len(rows) == LATEST_ROWS
    return took


def plan(connection: psycopg.Connection[Any], user: str) -> list[str]:
    """Return the plan of the read."""
    with connection.transaction():
        connection.execute("SELECT set_config('app.current_user_id', %s, true)", [user])
        rows = connection.execute(
            f"EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, BUFFERS OFF) {LATEST}".encode(), [user, user]
        )
        return [row[0] for row in rows.fetchall()]


def measure(target: Target, *, reads: int) -> dict[str, list[float]]:
    """Return the times of every transaction, in milliseconds, by whether row security was on."""
    with connect(target) as connection:
        rows = connection.execute("SELECT id::text FROM chat.conversations ORDER BY id").fetchall()
    users = [row[0] for row in rows]
    times: dict[str, list[float]] = {way: [] for way in ROLES}
    with reader(target, "fg_user") as one, reader(target, "bench_reader") as two:
        ways = list(zip(ROLES, (one, two), strict=True))
        for way, connection in ways:
            print(f"{way}:", *(f"    {line}" for line in plan(connection, users[0])), sep="\n")
            for user in users:  # every page is in memory, every statement prepared
                read(connection, user)
        # Which conversations are read; each twice, and the second finds it warm: the ways take turns at that.
        for number, user in enumerate(random.Random(1).choices(users, k=reads)):  # noqa: S311
            for way, connection in ways if number % 2 else reversed(ways):
                times[way].append(read(connection, user))
    return times


def filled(server: ServerFile, options: argparse.Namespace) -> dict[str, list[float]]:
    """Fill futureguide at its newest version and measure."""
    with product_database(server, "futureguide", options.rows) as target:
        runner.apply(target, directory.read(products.load("futureguide").migrations_folder), options=Options())
        with connect(target) as connection:
            connection.execute(
                "CREATE ROLE bench_reader BYPASSRLS; GRANT USAGE ON SCHEMA chat TO fg_user, bench_reader; "
                "GRANT SELECT ON chat.messages TO fg_user, bench_reader"
            )
            row = connection.execute("SELECT count(*), version() FROM chat.messages").fetchone()
        assert row is not None
        print(f"{row[0]} messages, {options.reads} transactions each way, {row[1].split(' on ')[0]}")
        return measure(target, reads=options.reads)


def main() -> None:
    """Fill, measure and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="messages in the table")
    parser.add_argument("--reads", type=int, default=10_000, help="transactions each way")
    options = parser.parse_args()
    least = LATEST_ROWS * CONVERSATIONS
    if options.rows < least:
        parser.error(f"--rows: at least {least}, {LATEST_ROWS} for each of {CONVERSATIONS} conversations")
    if options.reads < 2:
        parser.error("--reads: quartiles take at least 2")
    with scratch_server() as (server, _):
        times = filled(server.start(), options)
    medians = {way: statistics.median(found) for way, found in times.items()}
    for way, found in times.items():
        quartiles = statistics.quantiles(found, n=20)
        print(f"{way:18} median {medians[way]:.3f} ms, p5 {quartiles[0]:.3f} ms, p95 {quartiles[-1]:.3f} ms")
    ratio = medians["with row security"] / medians["without it"]
    print(f"ratio {ratio:.3f}, asked: at most {LIMIT}: {'kept' if ratio <= LIMIT else 'MISSED'}")


if __name__ == "__main__":
    main()
