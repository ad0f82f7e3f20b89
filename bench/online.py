"""Writers during migrations: what a live product feels while its database changes under it.

    .venv/bin/python -m bench.online                  # 1 M rows, 200 transactions a second
    .venv/bin/python -m bench.online --rows 100000    # quicker
    .venv/bin/python -m bench.online --only lyra report    # one product, and the hard case

For each product: its first migration, a million rows in its largest table, then pgbench at a steady rate, first quiet,
then while the runner applies the other migrations, then quiet again, so that a disk that is slow for a while is slow
for both. After that, to compare with, a session that only computes for as long ("busy"): what any one busy process
costs the writers on this machine. A change takes little more than a second, of whose 200 transactions two are the last
hundredth; so each product is measured in several rounds, each on a database made anew, and the transactions of all
rounds are counted together. Each round begins with a checkpoint, so that all of it lies between two.

At the end the hard case, once: a reporting session holds a transaction open on the table while a column is added, by
the runner and by psql. Latencies are pgbench's own, schedule lag included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from bench.scratch import scratch_server
from embedded.server import ServerFile, packaged_bin_folder
from infra import products
from infra.connection import Target, connect
from infra.migrations import directory, filename, runner
from infra.migrations.model import Event
from infra.migrations.options import Options
from infra.naming import role_names

RATE = 200  # transactions a second
QUIET_S = 5  # seconds of writing before anything changes, and again afterwards
HELD_S = 12  # seconds for which the reporting session holds its transaction

KEYS = "(md5((random() * 999)::int::text))::uuid"


@dataclass(frozen=True)
class Load:
    """What a product's writer writes, and how its tables are filled.

    Attributes:
        parents: Fills the tables that a message points to, a thousand rows each.
        rows: Fills the largest table with %(rows)s rows.
        write: One transaction of the service.
    """

    parents: str
    rows: str
    write: str


_USERS = "INSERT INTO users (id) SELECT md5(n::text)::uuid FROM generate_series(0, 999) AS n"
_LYRA = "INSERT INTO chat_messages (user_id, text, sender)"
_ROBOTICS = "INSERT INTO chats (user_id, query, response)"
_STOREFRONT = "INSERT INTO chat_messages (id, session_id, role, content)"
_INSIGHTS = "INSERT INTO chat_messages (id, chat_id, role, content)"
_FUTUREGUIDE = "INSERT INTO chat.messages (conversation_id, user_id, sender_type, content)"
LOADS = {
    "lyra": Load(
        _USERS,
        f"{_LYRA} SELECT md5((n % 1000)::text)::uuid, 'hello', 'user' FROM generate_series(1, %(rows)s) AS n",
        f"{_LYRA} VALUES ({KEYS}, 'hello', 'lyra')",
    ),
    "robotics": Load(
        "INSERT INTO users (id, name, email, hashed_password) "
        "SELECT md5(n::text)::uuid, 'n', n::text, 'h' FROM generate_series(0, 999) AS n",
        f"{_ROBOTICS} SELECT md5((n % 1000)::text)::uuid, 'q', 'r' FROM generate_series(1, %(rows)s) AS n",
        f"{_ROBOTICS} VALUES ({KEYS}, 'q', 'r')",
    ),
    "storefront": Load(
        "INSERT INTO users (id) SELECT n::text FROM generate_series(0, 999) AS n; "
        "INSERT INTO chat_sessions (id, user_id, session_token) SELECT n::text, n::text, n::text "
        "FROM generate_series(0, 999) AS n",
        f"{_STOREFRONT} SELECT n::text, (n % 1000)::text, 'user', 'hello' FROM generate_series(1, %(rows)s) AS n",
        f"{_STOREFRONT} VALUES (gen_random_uuid()::text, (random() * 999)::int::text, 'user', 'hello')",
    ),
    "futureguide": Load(
        "INSERT INTO auth.users (id) SELECT md5(n::text)::uuid FROM generate_series(0, 999) AS n; "
        "INSERT INTO chat.conversations (id, user_id) SELECT md5(n::text)::uuid, md5(n::text)::uuid "
        "FROM generate_series(0, 999) AS n",
        f"{_FUTUREGUIDE} SELECT md5((n % 1000)::text)::uuid, md5((n % 1000)::text)::uuid, 'user', 'hello' "
        "FROM generate_series(1, %(rows)s) AS n",
        f"{_FUTUREGUIDE} SELECT key, key, 'user', 'hello' FROM (SELECT {KEYS} AS key) AS k",
    ),
    "insights": Load(
        _USERS
        + "; INSERT INTO agents SELECT * FROM users; INSERT INTO accounts SELECT * FROM users; "
        + "INSERT INTO chats (id, agent_id, user_id, account_id) SELECT id, id, id, id FROM users",
        f"{_INSIGHTS} SELECT gen_random_uuid(), md5((n % 1000)::text)::uuid, 'user', 'hello' "
        "FROM generate_series(1, %(rows)s) AS n",
        f"{_INSIGHTS} VALUES (gen_random_uuid(), {KEYS}, 'user', 'hello')",
    ),
}
COMPUTE = """\
DO $$
DECLARE until timestamptz := clock_timestamp() + interval '{} s';
BEGIN WHILE clock_timestamp() < until LOOP END LOOP; END
$$"""
HARD = "report"
HARD_CASE = (
    "-- migrate:up\nALTER TABLE public.chat_messages ADD COLUMN probe text;\n"
    "-- migrate:down\nALTER TABLE public.chat_messages DROP COLUMN probe;\n"
)


class Latencies(list[float]):
    """What the writers felt, in milliseconds: one of each transaction of a stretch of time, or of several."""

    @property
    def p99(self) -> float:
        """The latency that one in a hundred exceeds."""
        return sorted(self)[int(len(self) * 0.99)] if self else float("inf")

    def __str__(self) -> str:
        return f"{len(self):6} tx, p99 {self.p99:8.1f} ms, longest {max(self, default=float('inf')):9.1f} ms"


class Writers:
    """pgbench at a steady rate, in the background."""

    def __init__(self, target: Target, statement: str, folder: Path) -> None:
        self._folder = folder
        script = folder / "write.sql"
        script.write_text(statement + ";\n")
        for old in folder.glob("log.*"):
            old.unlink()
        command = [
            *(str(packaged_bin_folder() / "pgbench"), "--no-vacuum", "--client=16", "--jobs=1", "--log"),
            *(f"--rate={RATE}", "--time=3600", f"--log-prefix={folder / 'log'}", f"--file={script}"),
            target.database,
        ]
        environment = {
            "PGHOST": target.host,
            "PGPORT": str(target.port),
            "PGUSER": target.user,
            "PGPASSWORD": target.password,
            "PGOPTIONS": "-c client_min_messages=error",
        }
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.failed = ""

    def await_first(self) -> None:
        """Wait until all clients have connected and transactions are logged."""
        while self._process.poll() is None and not any(file.stat().st_size for file in self._folder.glob("log.*")):
            time.sleep(0.1)
        time.sleep(2)

    def stop(self) -> None:
        """End pgbench; what it complained of is in `failed`."""
        alive = self._process.poll() is None
        self._process.terminate()
        _, said = self._process.communicate()
        self.failed = "" if alive and "ERROR" not in said else said.strip() or "pgbench ended early"

    def between(self, begin: float, end: float) -> Latencies:
        """Return the latencies of the transactions that were to begin or ended in a stretch of time (Unix seconds)."""
        found = Latencies()
        for file in self._folder.glob("log.*"):
            for line in file.read_text().splitlines():
                fields = line.split()
                if len(fields) >= 6:
                    took, ended = int(fields[2]) / 1e6, int(fields[4]) + int(fields[5]) / 1e6
                    if begin <= ended and ended - took <= end:
                        found.append(took * 1000)
        return found


@contextmanager
def product_database(server: ServerFile, name: str, rows: int) -> Iterator[Target]:
    """Make a product's database at its first version, filled."""
    product, load = products.load(name), LOADS[name]
    with connect(server.target()) as connection:
        connection.execute("SELECT set_config('client_min_messages', 'error', false)")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"bench_{name}")))
        for role in role_names(product).serving.values():  # policies name them
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    target = server.target(f"bench_{name}")
    with connect(target) as connection:
        connection.execute(product.stand_ins_file.read_bytes())
    runner.apply(target, directory.read(product.migrations_folder), options=Options(), to=1)
    with connect(target) as connection:
        connection.execute("SET session_replication_role = replica")  # filling needs no foreign key checks
        connection.execute(load.parents.encode())
        connection.execute(load.rows.replace("%(rows)s", str(rows)).encode())
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    yield target
    with connect(server.target()) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(f"bench_{name}")))


@dataclass
class Felt:
    """What writers felt.

    Attributes:
        quiet: Around a change.
        during: While it was made.
        busy: While a session computed for as long.
        failed: What pgbench complained of.
    """

    quiet: Latencies
    during: Latencies
    busy: Latencies
    failed: str

    def __iadd__(self, other: Felt) -> Felt:
        self.quiet += other.quiet
        self.during += other.during
        self.busy += other.busy
        self.failed = self.failed or other.failed
        return self


def measured(target: Target, name: str, folder: Path, change: Callable[[], object], *, after: bool = True) -> Felt:
    """Return what writers feel of a change.

    Args:
        target: The product's database.
        name: The product.
        folder: Where pgbench writes.
        change: Makes the change.
        after: Whether the quiet after it counts too, and a session that computes for as long: not where the change
            keeps writers waiting, who come late into what follows.
    """
    writers = Writers(target, LOADS[name].write, folder)
    writers.await_first()
    quiet_from = time.time()
    time.sleep(QUIET_S)
    begin = time.time()
    change()
    end = max(time.time(), begin + 1)  # a change of a moment has a second, so that there is something to count
    time.sleep(end - time.time() + 1)  # what waited for it ends after it
    quiet_again = time.time()
    time.sleep(QUIET_S)
    computing = computed = time.time()
    if after:
        with connect(target) as connection:
            connection.execute(COMPUTE.format(end - begin).encode())
        computed = time.time()
        time.sleep(1)
    writers.stop()
    felt = Felt(writers.between(quiet_from, begin), writers.between(begin, end), Latencies(), writers.failed)
    if after:
        felt.quiet += writers.between(quiet_again, computing)
        felt.busy += writers.between(computing, computed)
    return felt


@contextmanager
def reporting_session(target: Target) -> Iterator[None]:
    """Hold a transaction open that has read the table, for HELD_S seconds."""

    def hold() -> None:
        with connect(target.to(application_name="report")) as connection, connection.transaction():
            connection.execute("SELECT count(*) FROM (SELECT FROM chat_messages LIMIT 10) AS seen")
            time.sleep(HELD_S)

    thread = threading.Thread(target=hold)
    thread.start()
    time.sleep(0.5)
    yield
    thread.join()


def online(server: ServerFile, folder: Path, names: Iterable[str], rows: int, rounds: int) -> None:
    """Measure these products' own migrations."""
    for name in names:
        migrations = directory.read(products.load(name).migrations_folder)
        felt = Felt(Latencies(), Latencies(), Latencies(), "")
        for _ in range(rounds):
            with product_database(server, name, rows) as target:
                felt += measured(
                    target,
                    name,
                    folder,
                    lambda t=target, m=migrations: runner.apply(t, m, options=Options()),  # type: ignore[misc]
                )
        report(name, felt)


def report(label: str, felt: Felt) -> None:
    """Print what the writers felt, a line for each stretch of time."""
    print(f"{label:20} quiet  {felt.quiet}")
    ratio, busy = (some.p99 / felt.quiet.p99 for some in (felt.during, felt.busy))
    print(f"{label:20} during {felt.during}  p99 {ratio:.1f} x quiet, failed: {felt.failed or '0'}", flush=True)
    if felt.busy:
        print(f"{label:20} busy   {felt.busy}  p99 {busy:.1f} x quiet", flush=True)


def hard_case(server: ServerFile, folder: Path, rows: int) -> None:
    """Measure a column that is added while a report holds the table, by the runner and by psql."""
    for tool in ("chatdb", "psql"):
        with product_database(server, "lyra", rows) as target:
            files = directory.read(products.load("lyra").migrations_folder)
            runner.apply(target, files, options=Options())
            extra = filename.parse(f"{len(files) + 1:04d}_probe.sql", HARD_CASE)
            said: list[str] = []

            def by_runner(t: Target = target, s: list[str] = said) -> None:
                def note(event: Event) -> None:
                    if event.kind == "waiting" and not s:
                        s.append(event.text)

                runner.apply(t, (*files, extra), options=Options(), report=note)  # noqa: B023 - runs within the loop

            def by_psql(t: Target = target) -> None:
                with connect(t) as connection:
                    connection.execute("ALTER TABLE public.chat_messages ADD COLUMN probe text")

            def with_the_report(t: Target = target, how: Callable[[], None] = by_runner) -> None:
                with reporting_session(t):
                    how()

            change = with_the_report if tool == "chatdb" else (lambda act=with_the_report, how=by_psql: act(how=how))
            felt = measured(target, "lyra", folder, change, after=False)
        report(f"report {HELD_S} s, {tool}", felt)
        if said:
            print(f"  the runner said: {said[0]}", flush=True)


def main() -> None:
    """Measure all and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in each product's largest table")
    parser.add_argument("--rounds", type=int, default=3, help="how often each product is measured")
    names = products.names()
    parser.add_argument("--only", nargs="+", choices=(*names, HARD), default=(*names, HARD), help="what is measured")
    options = parser.parse_args()
    print(
        f"{options.rows} rows, {RATE} transactions a second, rounds: {options.rounds}, Python {sys.version.split()[0]}"
    )
    with scratch_server() as (server, folder):
        started = server.start()
        online(started, folder, (name for name in names if name in options.only), options.rows, options.rounds)
        if HARD in options.only:
            hard_case(started, folder, options.rows)


if __name__ == "__main__":
    main()
