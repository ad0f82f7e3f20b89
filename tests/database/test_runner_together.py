"""Short files that share a message: each still stands or falls by itself."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from infra.connection import Target, connect
from infra.migrations import filename, runner, together
from infra.migrations.failures import MigrationFailedError
from infra.migrations.model import Event
from infra.migrations.options import Options
from infra.migrations.session import Outcome, Session
from tests.support.migration_files import file, tables

FILES = 12  # one, two, four, then the rest in one message


@pytest.fixture(autouse=True)
def every_file_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does: what is shared must not hang on the clock here."""
    monkeypatch.setattr(together, "QUICK_S", 60)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many transactions each message of a run carried."""
    sent: list[int] = []
    run = Session.run

    def counted(session: Session, batch: str, **options: object) -> Outcome:
        sent.append(batch.count("COMMIT"))
        return run(session, batch, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "run", counted)
    return sent


def test_quick_files_share_messages_and_each_has_its_row_and_its_news(database: Target, messages: list[int]) -> None:
    """Fewer messages than files; rows in order, none begins before the one before it ended."""
    migrations = filename.parse_all(tables(FILES))
    events: list[Event] = []
    applied = runner.apply(database, migrations, options=Options(stack="dev"), report=events.append)
    rows = runner.status(database, migrations).rows
    assert applied.names == tuple(migration.name for migration in migrations)
    assert sum(messages) == FILES
    assert len(messages) < FILES
    assert [row.name for row in rows] == list(applied.names)
    assert all(row.stack == "dev" and row.actor == database.user for row in rows)
    for former, row in itertools.pairwise(rows):
        assert former.finished_at <= row.started_at <= row.finished_at  # type: ignore[operator]
    told = [(event.kind, event.migration) for event in events if event.kind in ("executing", "applied")]
    assert told == [(kind, migration.name) for migration in migrations for kind in ("executing", "applied")]


@pytest.mark.parametrize(
    ("broken", "sqlstate"),
    [
        pytest.param("CREATE TABLE table_1 (id int);", "42P07", id="a statement that fails"),
        pytest.param("CREATE TABEL mistyped (id int);", "42601", id="a mistake that the server finds before it begins"),
    ],
)
def test_those_before_a_broken_file_stand_and_it_is_named(database: Target, broken: str, sqlstate: str) -> None:
    """As where each file travels alone; mended, the next run goes on."""
    files = tables(FILES)
    name = list(files)[8]
    mended = files[name]
    files[name] = file(broken)
    with pytest.raises(MigrationFailedError) as caught:
        runner.apply(database, filename.parse_all(files), options=Options())
    assert (caught.value.sqlstate, caught.value.line) == (sqlstate, 2)
    assert caught.value.state == (
        "applied 0001 to 0008; failed 0009 at line 2; 0009 left nothing behind; pending 0010 to 0012."
    )
    after = runner.apply(database, filename.parse_all({**files, name: mended}), options=Options())
    assert after.names == tuple(file_name.removesuffix(".sql") for file_name in list(files)[8:])


def test_a_file_that_forgets_the_session_s_statements_is_no_obstacle(database: Target) -> None:
    """DEALLOCATE ALL takes the prepared record away: the file then goes alone, with the whole statement."""
    files = tables(FILES)
    files[list(files)[4]] = file("CREATE TABLE table_5 (id int); DEALLOCATE ALL;")
    migrations = filename.parse_all(files)
    assert runner.apply(database, migrations, options=Options()).version == FILES
    assert len(runner.status(database, migrations).rows) == FILES


def test_a_lock_that_is_held_stops_one_file_alone_until_it_is_free(database: Target) -> None:
    """The blocker is named, and nothing is applied twice or left out."""
    with connect(database) as holder:
        pid = holder.info.backend_pid
        holder.execute("CREATE TABLE old (id int)")
        files = tables(FILES)
        files[list(files)[9]] = file("ALTER TABLE old ADD COLUMN word text;")
        migrations = filename.parse_all(files)
        holder.execute("BEGIN; LOCK TABLE old IN ACCESS SHARE MODE")
        events: list[Event] = []

        def report(event: Event) -> None:
            events.append(event)
            if event.kind == "waiting":
                released.set()

        released = threading.Event()

        def release() -> None:
            assert released.wait(30)
            time.sleep(0.1)
            holder.execute("COMMIT")

        thread = threading.Thread(target=release)
        thread.start()
        runner.apply(database, migrations, options=Options(), report=report)
        thread.join()
    waiting = [event for event in events if event.kind == "waiting"]
    assert {event.migration for event in waiting} == {migrations[9].name}
    assert f"pid {pid}" in waiting[0].text
    assert [row.version for row in runner.status(database, migrations).rows] == list(range(1, FILES + 1))
