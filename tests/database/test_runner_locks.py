"""Waiting for locks: short and again for what holds others up, long for what does not, and the blocker is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from psycopg import sql

from infra.connection import Target, connect
from infra.migrations import blockers, filename, runner
from infra.migrations.failures import LockWaitError
from infra.migrations.model import Event
from infra.migrations.options import Options
from tests.support import postgres
from tests.support.migration_files import file, tables

QUERY = "SELECT word, 'a secret' FROM table_1 WHERE id = 4711"


@contextmanager
def reader(target: Target) -> Iterator[psycopg.Connection[Any]]:
    """Hold a lock on table_1 by an open transaction; its rollback ends it."""
    with connect(target.to(application_name="report")) as connection:
        connection.execute("BEGIN")
        connection.execute(QUERY)
        yield connection
        connection.rollback()


@contextmanager
def low_login(target: Target) -> Iterator[Target]:
    """Give a login that may create in the database and nothing else; it goes with what it made."""
    name = postgres.unique("low")
    with connect(target) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'".encode())
        connection.execute(f"GRANT CREATE ON DATABASE {target.database} TO {name}".encode())
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {name}".encode())
        yield target.to(user=name, password=name)
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def with_column(options: str = "") -> dict[str, str]:
    return {**tables(1), "0002_column.sql": file("ALTER TABLE table_1 ADD COLUMN more text;", "", options=options)}


@pytest.mark.parametrize("options", ["", "transaction:false"], ids=["transactional", "online"])
def test_a_lock_that_is_not_had_in_time_gives_up_and_names_the_blocker(database: Target, options: str) -> None:
    """55P03 after several attempts: pid, role, application, age, and the query with its literals masked."""
    runner.apply(database, filename.parse_all(tables(1)), options=Options())
    events: list[Event] = []
    migrations = filename.parse_all(with_column(options))
    budget = Options(lock_timeout_ms=400, lock_budget_s=1.0)
    with reader(database) as blocking:
        pid = blocking.info.backend_pid
        with pytest.raises(LockWaitError) as caught:
            runner.apply(database, migrations, options=budget, report=events.append)
    error = caught.value
    assert (error.sqlstate, error.line) == ("55P03", 2)
    assert error.message == "migration 0002_column failed at line 2"
    assert f"in the way: pid {pid}, {database.user} (report), idle in transaction for " in error.detail
    assert error.detail.endswith(": SELECT word, ? FROM table_1 WHERE id = ?")
    left = "0002 left nothing behind" if not options else "the next run goes on at its statement 1"
    assert error.state == f"applied 0001; failed 0002 at line 2; {left}."
    assert {event.kind for event in events} >= {"waiting", "retrying"}
    named = [blocker for event in events for blocker in event.blockers]
    assert {(blocker.pid, blocker.application) for blocker in named} == {(pid, "report")}


def test_the_blocker_is_named_behind_a_pooler_in_session_mode_too(
    database: Target, pooled: Callable[..., Target]
) -> None:
    """The pooler tells its clients another process id than the server knows."""
    runner.apply(database, filename.parse_all(tables(1)), options=Options())
    budget = Options(lock_timeout_ms=400, lock_budget_s=0.5)
    with reader(database) as blocking:
        pid = blocking.info.backend_pid
        with pytest.raises(LockWaitError) as caught:
            runner.apply(pooled(database, mode="session"), filename.parse_all(with_column()), options=budget)
    assert f"in the way: pid {pid}, {database.user} (report)" in caught.value.detail


@pytest.mark.parametrize(
    "online",
    [
        pytest.param("", id="transactional"),
        pytest.param("CREATE INDEX CONCURRENTLY by_more ON table_1 (id);", id="index"),
    ],
)
def test_a_prepared_transaction_in_the_way_is_named_though_no_session_holds_it(online: str) -> None:
    """pg_blocking_pids gives 0 for it; without its gid nobody could end it. It is waited out like a session's."""
    change = {"0002_change.sql": file(online, "", options="transaction:false")} if online else {}
    migrations = filename.parse_all({**tables(1), **(change or with_column())})
    events: list[Event] = []
    with (
        postgres.running_server(settings={"max_prepared_transactions": "2"}) as server,
        postgres.fresh_database(server) as database,
    ):
        runner.apply(database, filename.parse_all(tables(1)), options=Options())
        with connect(database) as other:
            for gid, table in [("of no table", "pg_class"), ("app's order", "table_1")]:
                other.execute("BEGIN")
                other.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE".encode())
                other.execute(sql.SQL("PREPARE TRANSACTION {}").format(gid))

            def end_it(event: Event) -> None:
                if event.kind == "waiting" and not any(earlier.kind == "waiting" for earlier in events):
                    threading.Timer(2, other.execute, ["ROLLBACK PREPARED 'app''s order'"]).start()
                events.append(event)

            budget = Options(lock_timeout_ms=400, lock_budget_s=30)
            applied = runner.apply(database, migrations, options=budget, report=end_it)
            other.execute("ROLLBACK PREPARED 'of no table'")
    waiting = next(event for event in events if event.kind == "waiting")
    assert f"waits for a prepared transaction of {database.user}, " in waiting.text
    assert sum(event.kind == "retrying" for event in events) <= 3
    assert waiting.text.endswith("only COMMIT PREPARED 'app''s order' or ROLLBACK PREPARED 'app''s order' ends it")
    assert applied.version == 2


SLOW_VACUUM = """
ALTER TABLE table_1 SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
                         autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
INSERT INTO table_1 SELECT n, repeat('x', 500) FROM generate_series(1, 20000) AS n;
DELETE FROM table_1 WHERE id % 2 = 0"""
VACUUMING = "SELECT FROM pg_stat_progress_vacuum WHERE relid = 'table_1'::regclass"


def test_autovacuum_is_not_waited_out() -> None:
    """It gives way to whoever has queued for a second; left alone it takes minutes here, and hours elsewhere."""
    with (
        postgres.running_server(settings={"autovacuum_naptime": "1s"}) as server,
        postgres.fresh_database(server) as database,
    ):
        runner.apply(database, filename.parse_all(tables(1)), options=Options())
        with connect(database) as other:
            other.execute(SLOW_VACUUM.encode())
            until = time.monotonic() + 30
            while not other.execute(VACUUMING).fetchall():
                assert time.monotonic() < until
                time.sleep(0.1)
            files = filename.parse_all(with_column())
            assert runner.apply(database, files, options=Options(lock_budget_s=20)).version == 2


def test_once_the_blocker_has_ended_the_file_is_applied(database: Target) -> None:
    """The attempts go on until the budget is used up."""
    runner.apply(database, filename.parse_all(tables(1)), options=Options())
    with reader(database) as blocking:
        ends = threading.Timer(1.0, blocking.rollback)
        ends.start()
        applied = runner.apply(database, filename.parse_all(with_column()), options=Options(lock_timeout_ms=200))
        ends.join()
    assert applied.names == ("0002_column",)


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "hidden"])
def test_writers_are_not_held_up_while_the_blocker_lasts(database: Target, *, seen: bool) -> None:
    """Between attempts nothing of ours stands in the lock's queue: a writer passes although a reader blocks us.

    A login without pg_read_all_stats, as those of a stack, sees neither since when nor what another session does.
    """
    files = filename.parse_all(with_column())
    told: list[str] = []
    retried = threading.Event()

    def report(event: Event) -> None:
        told.append(event.text)
        if sum("did not get a lock" in text for text in told) == 2:
            retried.set()

    def apply() -> None:
        runner.apply(migrator, files, options=Options(), report=report)

    with nullcontext(database) if seen else low_login(database) as migrator:
        runner.apply(migrator, filename.parse_all(tables(1)), options=Options())
        with reader(database) as blocking:
            applying = threading.Thread(target=apply)
            applying.start()
            assert retried.wait(10)
            with connect(database) as writer:
                writer.execute("SET lock_timeout = '100ms'")
                for number in range(200):
                    writer.execute("INSERT INTO table_1 (id) VALUES (%s)", (number,))
                    time.sleep(0.01)
            blocking.rollback()
            applying.join()
        assert runner.status(migrator, files).version == 2
    assert seen or any("(report), whose statement only pg_read_all_stats may see" in text for text in told)


def test_validating_may_wait_long(database: Target) -> None:
    """VALIDATE CONSTRAINT holds nobody up, so one attempt may outlast the short budget."""
    files = {
        **tables(1),
        "0002_check.sql": file("ALTER TABLE table_1 ADD CONSTRAINT positive CHECK (id > 0) NOT VALID;"),
        "0003_validate.sql": file("ALTER TABLE table_1 VALIDATE CONSTRAINT positive;"),
    }
    runner.apply(database, filename.parse_all(files), options=Options(), to=2)
    kinds: list[str] = []
    with connect(database) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE table_1 IN SHARE UPDATE EXCLUSIVE MODE")

        def end_once_named(event: Event) -> None:
            kinds.append(event.kind)
            if event.kind == "waiting":
                other.rollback()

        applied = runner.apply(
            database,
            filename.parse_all(files),
            options=Options(lock_timeout_ms=100, lock_budget_s=0.5),
            report=end_once_named,
        )
    assert (applied.version, "retrying" in kinds, "waiting" in kinds) == (3, False, True)


def test_an_application_role_s_timeouts_do_not_cut_a_migration_short(database: Target) -> None:
    """A statement_timeout set on the role is for the service, not for DDL."""
    with connect(database) as connection:
        for name in ("statement_timeout", "transaction_timeout"):
            connection.execute(f"ALTER DATABASE {database.database} SET {name} = '200ms'")
    files = {"0001_slow.sql": file("SELECT pg_sleep(0.5);")}
    assert runner.apply(database, filename.parse_all(files), options=Options()).version == 1


MASKED = {
    "strings": ("SELECT 'a''b', E'it\\'s', $$x$$, $t$y$t$", "SELECT ?, ?, ?, ?"),
    "numbers": ("SELECT 42, 4.2, t1.a2 FROM t1 WHERE a=7", "SELECT ?, ?, t1.a2 FROM t1 WHERE a=?"),
    "cut off by the view": ("INSERT INTO t VALUES ('a long sec", "INSERT INTO t VALUES (?"),
    "control characters": ("SELECT 1 /* \x1b[31m */", "SELECT ? /* \\x1b[31m */"),
    "lines": ("SELECT\n  a\nFROM t", "SELECT a FROM t"),
    "long": ("SELECT " + "a, " * 100, "SELECT " + "a, " * 37 + "a…"),
}


@pytest.mark.parametrize(("query", "shown"), MASKED.values(), ids=MASKED)
def test_what_is_shown_of_a_query_holds_no_literals(query: str, shown: str) -> None:
    """Another session's statement may hold people's words."""
    assert blockers.masked(query) == shown
