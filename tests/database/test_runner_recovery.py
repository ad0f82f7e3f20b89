"""Killed, cut off, restarted: the next run, or the same one, comes to the same end, with no hand work."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded.server import ServerFile
from infra.connection import Target, connect
from infra.errors import ConnectionFailedError
from infra.migrations import directory, filename, runner
from infra.migrations.failures import MigrationFailedError, PooledConnectionError
from infra.migrations.model import Event
from infra.migrations.options import Hooks, Options
from tests.support import apply_process, postgres, proxies
from tests.support.migration_files import file, tables
from tests.support.mixed import MIXED, shape

KILLS = 12


def test_kills_at_random_moments_leave_nothing_to_do_by_hand(server: ServerFile, tmp_path: Path) -> None:
    """Killed again and again until a run ends by itself: the end is the same as without a kill."""
    for name, text in MIXED.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with postgres.fresh_database(server) as quiet:
        started = time.monotonic()
        process = apply_process.start(quiet, tmp_path)
        assert process.communicate(timeout=60)[1] == ""
        length_s = time.monotonic() - started
        expected = shape(quiet)
    kills = 0
    moment = random.Random(os.environ.get("CHATDB_KILL_SEED"))  # noqa: S311 - moments, not secrets
    while kills < KILLS:
        with postgres.fresh_database(server) as target:
            for _ in range(3):
                process = apply_process.start(target, tmp_path)
                time.sleep(moment.uniform(0.1, 1.0) * length_s)
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                process.communicate(timeout=60)
            process = apply_process.start(target, tmp_path)
            assert process.communicate(timeout=60)[1] == ""
            assert (process.returncode, shape(target)) == (0, expected)


@pytest.mark.parametrize("lost", range(1, 13))
def test_an_answer_that_is_lost_is_looked_up_in_the_ledger(database: Target, lost: int) -> None:
    """The line is cut as the server says that a transaction is committed: it is neither run again nor left out."""
    commits = 0

    def cuts(answer: bytes) -> bool:
        nonlocal commits
        before = commits
        commits += answer.count(b"COMMIT\0") + answer.count(b"CREATE INDEX\0") + answer.count(b"UPDATE 1\0")
        return before < lost <= commits

    events: list[Event] = []
    verified: list[int] = []
    migrations = filename.parse_all(MIXED)
    hooks = Hooks(verify=lambda _connection, version: verified.append(version))
    with proxies.cutting_line(database, cuts) as cut:
        applied = runner.apply(cut, migrations, options=Options(), report=events.append, hooks=hooks)
    assert [event.kind for event in events].count("retrying") == 1
    assert applied.names == tuple(migration.name for migration in migrations)
    assert verified == [6]
    rows = runner.status(database, migrations).rows
    assert [row.name for row in rows] == [migration.name for migration in migrations]
    with connect(database) as connection:
        assert connection.execute("SELECT count(*), max(length(word)) FROM table_1").fetchone() == (20000, 6)


def test_a_database_that_was_made_or_dropped_unheard_is_not_made_or_dropped_again(database: Target) -> None:
    """No transaction holds it: that it stands already, or is gone, is how the attempt before has ended."""
    name = postgres.unique("made")
    make, drop = f"CREATE DATABASE {name};", f"DROP DATABASE {name};"
    text = file(make, drop, options="transaction:false", down_options="transaction:false")
    migrations = filename.parse_all({"0001_d.sql": text})

    def heard(word: bytes) -> Callable[[bytes], bool]:
        return lambda answer: word in answer

    with proxies.cutting_line(database, heard(b"CREATE DATABASE\0")) as cut:
        assert runner.apply(cut, migrations, options=Options()).version == 1
    with proxies.cutting_line(database, heard(b"DROP DATABASE\0")) as cut:
        undone = runner.rollback(cut, migrations, to=0, options=Options(), confirmation="yes", phrase="yes")
    assert undone.version == 0
    with connect(database) as connection:
        connection.execute(make.encode())
        try:
            with pytest.raises(MigrationFailedError, match="failed at line"):
                runner.apply(database, migrations, options=Options())
        finally:
            connection.execute(drop.encode())


def test_a_line_that_stays_cut_is_given_up_with_where_things_stand(database: Target) -> None:
    """The time to go on trying is limited."""
    commits = 0

    def cuts(answer: bytes) -> bool:
        nonlocal commits
        commits += answer.count(b"COMMIT\0")
        return commits >= 2

    with proxies.cutting_line(database, cuts) as cut, pytest.raises(ConnectionFailedError) as caught:
        runner.apply(cut, filename.parse_all(tables(3)), options=Options(reconnect_s=0.5))
    assert caught.value.state == (
        "done in this run: 0001_table_1; 0002_table_2 was under way: the ledger says what stands"
    )
    # The third file may have travelled with the second: the server goes on with what it has.
    assert runner.status(database, filename.parse_all(tables(3))).version in (2, 3)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
def test_a_server_that_restarts_is_waited_for(sign: signal.Signals) -> None:
    """The run goes on where the ledger says, as if nothing had been."""
    files = {
        **tables(3),
        "0004_slow.sql": file("SELECT pg_sleep(0.5); CREATE TABLE slow (id int);"),
        "0005_z.sql": file("SELECT 1;"),
    }
    restarted: list[threading.Thread] = []
    with postgres.own_server() as embedded:
        target = embedded.start().target()

        def restart() -> None:
            pid = int((embedded.data_directory / "postmaster.pid").read_text(encoding="utf-8").split()[0])
            os.kill(pid, sign)
            while embedded.running():
                time.sleep(0.05)
            embedded.start()

        def report(event: Event) -> None:
            if event.migration == "0004_slow" and event.kind == "executing" and not restarted:
                restarted.append(threading.Thread(target=restart))
                restarted[0].start()

        migrations = filename.parse_all(files)
        applied = runner.apply(target, migrations, options=Options(), report=report)
        restarted[0].join()
        assert applied.names == tuple(migration.name for migration in migrations)
        assert [row.name for row in runner.status(target, migrations).rows] == [m.name for m in migrations]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_connection_pooled_by_transactions_is_refused_with_the_reason(
    database: Target, pooled: Callable[..., Target], size: int
) -> None:
    """In transaction mode neither the lock nor a setting holds from one transaction to the next."""
    target = pooled(database, size=size)
    with pytest.raises(PooledConnectionError) as caught:
        runner.apply(target, filename.parse_all(tables(1)), options=Options())
    assert str(caught.value) == (
        f"{target.label} is a pooled connection in transaction mode\n"
        "DETAIL: two transactions of this one connection ran in different sessions of the server, so its advisory "
        "lock and its settings would not hold\n"
        "HINT: Use the direct connection: on Neon the host without `-pooler`, on Supabase port 5432, with "
        "PgBouncer the server behind it.\n"
        "STATE: Nothing was changed."
    )
    runner.apply(database, filename.parse_all(tables(1)), options=Options())
    assert runner.status(target, filename.parse_all(tables(1))).version == 1


def test_a_connection_pooled_by_transactions_with_nothing_to_do_is_no_matter(
    database: Target, pooled: Callable[..., Target], tmp_path: Path
) -> None:
    """One statement needs no session."""
    (tmp_path / "0001_table_1.sql").write_text(tables(1)["0001_table_1.sql"], encoding="utf-8")
    migrations = directory.read(tmp_path)
    runner.apply(database, migrations, options=Options())
    assert runner.apply(pooled(database), migrations, options=Options()).names == ()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_connection_pooled_by_sessions_is_as_good_as_a_direct_one(
    database: Target, pooled: Callable[..., Target], size: int
) -> None:
    """Each client keeps its session; a pool with none to spare does not hold the run up."""
    migrations = filename.parse_all(MIXED)
    assert runner.apply(pooled(database, mode="session", size=size), migrations, options=Options()).version == 6
    assert [row.name for row in runner.status(database, migrations).rows] == [m.name for m in migrations]


def test_a_plain_line_in_between_is_no_pooler(database: Target) -> None:
    """A forwarded port keeps one session for each client."""
    with proxies.cutting_line(database, lambda _answer: False) as forwarded:
        assert runner.apply(forwarded, filename.parse_all(tables(1)), options=Options()).version == 1
