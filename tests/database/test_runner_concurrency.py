"""Any number of first runs at once: all succeed, everything is applied once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.connection import Target, connect
from infra.migrations import directory, filename, lock, runner
from infra.migrations.failures import RunnerBusyError
from infra.migrations.model import Event
from infra.migrations.options import Options
from tests.support import apply_process
from tests.support.migration_files import file, tables


def test_twenty_first_runs_at_once_all_succeed_and_apply_once(database: Target, tmp_path: Path) -> None:
    """An index built concurrently is among the files: a runner that waited in the server would deadlock with it."""
    files = tables(5)
    files["0006_online.sql"] = file(
        "CREATE INDEX CONCURRENTLY table_1_both_idx ON table_1 (id, word);", "", options="transaction:false"
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    processes = [apply_process.start(database, tmp_path) for _ in range(20)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 20, [errors for _, errors in outputs]
    applied = [name for text, _ in outputs for name in json.loads(text)]
    assert sorted(applied) == [name.removesuffix(".sql") for name in files]
    migrations = directory.read(tmp_path)
    assert [row.name for row in runner.status(database, migrations).rows] == [m.name for m in migrations]
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)


def test_another_run_is_waited_for_and_named(database: Target) -> None:
    """After the wait the error says who holds the lock; nothing was begun."""
    events: list[Event] = []
    with connect(database.to(application_name="somebody else")) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (lock.KEY,))
        pid = connection.info.backend_pid
        with pytest.raises(RunnerBusyError) as caught:
            runner.apply(
                database, filename.parse_all(tables(1)), options=Options(runner_wait_s=0.3), report=events.append
            )
        held = connection.execute("SELECT to_regnamespace('chatdb')").fetchone()
    assert caught.value.message == f"another run is migrating {database.label}"
    assert caught.value.detail.startswith(f"pid {pid}, {database.user} (somebody else), idle for ")
    waiting = [event for event in events if event.kind == "waiting"]
    assert [blocker.pid for blocker in waiting[0].blockers] == [pid]
    assert held == (None,)


def test_the_lock_of_another_database_is_no_obstacle(server: object, database: Target) -> None:
    """Two products on one server are migrated at the same time."""
    del server
    with connect(database.to(database="postgres")) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (lock.KEY,))
        applied = runner.apply(database, filename.parse_all(tables(1)), options=Options(runner_wait_s=0))
    assert applied.version == 1
