"""Applying files: once each, with their ledger rows, and where things stand when one fails."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from embedded.server import ServerFile
from infra.connection import Target, connect
from infra.errors import ChatdbError, ConnectionFailedError, DatabaseError
from infra.migrations import filename, ledger, lock, runner
from infra.migrations.errors import EditedMigrationError
from infra.migrations.failures import LedgerAccessError, MigrationFailedError
from infra.migrations.model import Event, Plan
from infra.migrations.options import Hooks, Options
from tests.support import postgres
from tests.support.migration_files import file, tables

OPTIONS = Options(stack="dev", tool_version="1.2.3")


def tables_of(target: Target) -> list[str]:
    """Return the tables outside the ledger's schema, with theirs."""
    with connect(target) as connection:
        found = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'chatdb') ORDER BY 1"
        )
        return [name for (name,) in found]


def test_each_file_is_applied_once_with_its_row(database: Target) -> None:
    """The second run finds nothing to do and changes nothing."""
    migrations = filename.parse_all(tables(3))
    first = runner.apply(database, migrations, options=OPTIONS)
    rows = runner.status(database, migrations).rows
    second = runner.apply(database, migrations, options=OPTIONS)
    assert first.names == ("0001_table_1", "0002_table_2", "0003_table_3")
    assert (first.version, second.version, second.names) == (3, 3, ())
    assert tables_of(database) == ["public.table_1", "public.table_2", "public.table_3"]
    assert [(row.sequence, row.version, row.name, row.direction, row.checksum) for row in rows] == [
        (number, number, m.name, "up", m.checksum) for number, m in enumerate(migrations, 1)
    ]
    assert {(row.actor, row.stack, row.tool_version, row.error) for row in rows} == {
        (database.user, "dev", "1.2.3", "")
    }
    assert all(row.started_at and row.finished_at and row.started_at <= row.finished_at for row in rows)
    assert runner.status(database, migrations).rows == rows


def test_later_files_are_added_to_earlier_ones(database: Target) -> None:
    """Only what is new runs; `to` stops where it is told."""
    files = tables(4)
    runner.apply(database, filename.parse_all(dict(list(files.items())[:1])), options=OPTIONS)
    second = runner.apply(database, filename.parse_all(files), options=OPTIONS, to=3)
    third = runner.apply(database, filename.parse_all(files), options=OPTIONS)
    assert (second.names, second.version) == (("0002_table_2", "0003_table_3"), 3)
    assert (third.names, third.version) == (("0004_table_4",), 4)


def test_with_nothing_to_do_one_statement_is_sent_and_no_lock_taken(database: Target) -> None:
    """The server's own count of transactions shows it: connecting, reading, nothing else."""
    migrations = filename.parse_all(tables(2))
    runner.apply(database, migrations, options=OPTIONS)
    with connect(database) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (lock.KEY,))
        kinds: list[str] = []
        applied = runner.apply(database, migrations, options=OPTIONS, report=lambda event: kinds.append(event.kind))
    assert applied.names == ()
    assert kinds == ["loaded", "connecting", "connected", "closed"]


def test_a_failed_file_leaves_nothing_behind_and_says_where_things_stand(database: Target) -> None:
    """Applied, failed, left behind, pending: and the next run goes on once the file is mended."""
    files = tables(2)
    files["0003_broken.sql"] = file("CREATE TABLE half (id int);\n\nCREATE INDEX ON half (nonsense);", "")
    files["0004_later.sql"] = file("CREATE TABLE later (id int);", "")
    with pytest.raises(MigrationFailedError) as caught:
        runner.apply(database, filename.parse_all(files), options=OPTIONS)
    assert str(caught.value) == (
        "migration 0003_broken failed at line 4\n"
        'DETAIL: 0003_broken.sql:4: column "nonsense" does not exist\n'
        "HINT: Mend the cause, then run again.\n"
        "STATE: applied 0001, 0002; failed 0003 at line 4; 0003 left nothing behind; pending 0004."
    )
    assert (caught.value.migration, caught.value.line, caught.value.statement) == ("0003_broken", 4, 2)
    assert tables_of(database) == ["public.table_1", "public.table_2"]
    files["0003_broken.sql"] = file("CREATE TABLE half (id int);", "")
    assert runner.apply(database, filename.parse_all(files), options=OPTIONS).names == ("0003_broken", "0004_later")


PLACES = {
    "an error with a place in the text": ("SELECT 1;\n\n  SELECT nonsense;", 4, 2, "42703"),
    "an error while running": ("SELECT 1;\nSELECT\n 1/0;", 3, 2, "22012"),
    "after letters beyond ASCII": ("SELECT 'ééé';\nSELECT nonsense;", 3, 2, "42703"),
    "at the commit": (
        "CREATE TABLE a (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO a VALUES (1), (1);",
        0,
        0,
        "23505",
    ),
    "a string that is not closed": ("SELECT 1;\nSELECT 'open;", 3, 0, "42601"),
    "a comment that is not closed": ("SELECT 1;\n/* open", 3, 0, "42601"),
}


@pytest.mark.parametrize(("up", "line", "statement", "sqlstate"), PLACES.values(), ids=PLACES)
def test_an_error_names_the_line_of_the_file(
    database: Target, *, up: str, line: int, statement: int, sqlstate: str
) -> None:
    """Whether the server says where, or only that it failed."""
    with pytest.raises(MigrationFailedError) as caught:
        runner.apply(database, filename.parse_all({"0001_a.sql": file(up)}), options=OPTIONS)
    error = caught.value
    assert (error.line, error.statement, error.sqlstate) == (line, statement, sqlstate)
    assert error.message == f"migration 0001_a failed at {f'line {line}' if line else 'its end'}"
    # Where a quote is not closed, the words go on to the end of the message, with what we send behind the file.
    assert ("unterminated" in error.detail, "chatdb" in error.detail) == ("open" in up, False)


def test_what_a_file_sets_for_its_session_does_not_reach_the_next(database: Target) -> None:
    """Applied together or one by one, files see the same settings and the same role."""
    files = {
        "0001_a.sql": file("CREATE SCHEMA other; SET search_path = other; CREATE ROLE passing; SET ROLE passing;"),
        "0002_b.sql": file("CREATE TABLE here (id int);"),
    }
    try:
        runner.apply(database, filename.parse_all(files), options=OPTIONS)
        assert tables_of(database) == ["public.here"]
    finally:
        with connect(database) as connection:
            connection.execute("DROP ROLE passing")


@pytest.mark.parametrize("options", ["", "transaction:false"], ids=["in a transaction", "without one"])
def test_a_text_is_stored_as_it_stands_in_the_file(database: Target, options: str) -> None:
    """Whatever the database makes of a backslash, and whatever encoding the statement before has set."""
    with connect(database) as connection:
        connection.execute(f'ALTER DATABASE "{database.database}" SET standard_conforming_strings = off')
    sets = "SET client_encoding = 'LATIN1';\nSET standard_conforming_strings = off;" if options else "SELECT 1;"
    written = f"{sets}\nINSERT INTO table_1 VALUES (1, 'C:\\new\\'), (2, 'é');"
    files = {**tables(1), "0002_texts.sql": file(written, options=options)}
    runner.apply(database, filename.parse_all(files), options=Options())
    with connect(database) as connection:
        assert connection.execute("SELECT word FROM table_1 ORDER BY id").fetchall() == [("C:\\new\\",), ("é",)]


def test_a_section_that_ends_in_a_comment_is_recorded(database: Target) -> None:
    """What follows the section is not part of its last line."""
    files = {"0001_a.sql": file("CREATE TABLE a (id int) -- no semicolon")}
    assert runner.apply(database, filename.parse_all(files), options=OPTIONS).version == 1
    assert tables_of(database) == ["public.a"]


def test_the_owner_owns_what_the_migrator_makes(server: ServerFile) -> None:
    """The login acts as the owner role, in the ledger's schema too."""
    owner = postgres.unique("owner")
    with connect(server.target()) as connection:
        connection.execute(f'CREATE ROLE "{owner}"')
    with postgres.fresh_database(server, owner) as target:
        runner.apply(target.to(role=owner), filename.parse_all(tables(1)), options=OPTIONS)
        with connect(target) as connection:
            owners = connection.execute(
                "SELECT DISTINCT c.relowner::regrole::text FROM pg_class AS c "
                "WHERE c.relnamespace IN ('public'::regnamespace, 'chatdb'::regnamespace)"
            ).fetchall()
            actor = connection.execute("SELECT actor FROM chatdb.ledger").fetchall()
    assert (owners, actor) == ([(owner,)], [(target.user,)])


def test_a_role_that_may_not_be_taken_is_said_clearly(database: Target) -> None:
    """Before anything is done."""
    with pytest.raises(ConnectionFailedError) as caught:
        runner.apply(database.to(role="nobody_at_all"), filename.parse_all(tables(1)), options=OPTIONS)
    assert str(caught.value) == (
        f"{database.user} may not act as nobody_at_all in {database.label}\n"
        'DETAIL: role "nobody_at_all" does not exist\n'
        "HINT: Name the role that owns the database; nobody_at_all is not on this server, and `chatdb up` makes a "
        "stack's.\n"
        "STATE: Nothing was changed."
    )


def test_a_session_that_only_reads_is_said_clearly(database: Target) -> None:
    """On a standby, or by a role's own default: before the first file as after it."""
    files = filename.parse_all(tables(2))
    hint = (
        "This session only reads. Name the server that takes writes, and a login without default_transaction_read_only."
    )
    reading = database.to(further=(("options", "-c default_transaction_read_only=on"),))
    with pytest.raises(DatabaseError) as caught:
        runner.apply(reading, files, options=OPTIONS)
    assert str(caught.value) == (
        f"migrating {database.label} failed\n"
        "DETAIL: cannot execute CREATE SCHEMA in a read-only transaction\n"
        f"HINT: {hint}\n"
        "STATE: Nothing was changed."
    )
    runner.apply(database, files, options=OPTIONS, to=1)
    with pytest.raises(MigrationFailedError) as failed:
        runner.apply(reading, files, options=OPTIONS)
    assert (failed.value.hint, tables_of(database)) == (hint, ["public.table_1"])


def test_a_role_without_rights_gets_no_ledger(database: Target) -> None:
    """42501 on the ledger is an error of its own, with what to do."""
    with connect(database) as connection:
        connection.execute("CREATE ROLE powerless")
    try:
        with pytest.raises(LedgerAccessError) as caught:
            runner.apply(database.to(role="powerless"), filename.parse_all(tables(1)), options=OPTIONS)
        assert caught.value.sqlstate == "42501"
        assert caught.value.detail.startswith("permission denied for database")
        runner.apply(database, filename.parse_all(tables(1)), options=OPTIONS)
        with pytest.raises(LedgerAccessError) as caught:
            runner.status(database.to(role="powerless"), filename.parse_all(tables(1)))
        assert caught.value.detail == "permission denied for schema chatdb"
    finally:
        with connect(database) as connection:
            connection.execute("DROP ROLE powerless")


def test_default_privileges_do_not_open_the_ledger(database: Target) -> None:
    """Whoever gets rights on each new table gets none on these."""
    with connect(database) as connection:
        connection.execute("CREATE ROLE curious")
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO curious, PUBLIC")
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO curious")
    try:
        runner.apply(database, filename.parse_all(tables(1)), options=OPTIONS)
        with connect(database) as connection:
            rights = connection.execute(
                "SELECT has_schema_privilege('curious', 'chatdb', 'USAGE'), "
                "has_table_privilege('curious', 'chatdb.ledger', 'SELECT'), "
                "has_table_privilege('curious', 'chatdb.head', 'UPDATE'), "
                "has_table_privilege('curious', 'public.table_1', 'SELECT')"
            ).fetchone()
        assert rights == (False, False, False, True)
    finally:
        with connect(database) as connection:
            connection.execute("DROP OWNED BY curious; DROP ROLE curious")


def test_an_edited_file_stops_the_run_before_anything(database: Target) -> None:
    """What is pending behind it is not applied either."""
    files = tables(2)
    runner.apply(database, filename.parse_all(dict(list(files.items())[:1])), options=OPTIONS)
    files["0001_table_1.sql"] += "-- edited"
    with pytest.raises(EditedMigrationError):
        runner.apply(database, filename.parse_all(files), options=OPTIONS)
    assert tables_of(database) == ["public.table_1"]


def test_the_hooks_run_under_the_lock_before_the_first_and_after_the_last(database: Target) -> None:
    """`before` only while the ledger is empty, `verify` with the version that was reached."""
    calls: list[tuple[str, int]] = []

    def before(connection: psycopg.Connection[object], plan: Plan) -> None:
        held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted").fetchone()
        calls.append(("before", len(plan.pending)))
        assert held == (1,)

    hooks = Hooks(before=before, verify=lambda _connection, version: calls.append(("verify", version)))
    files = tables(3)
    for count in (2, 2, 3):
        runner.apply(database, filename.parse_all(dict(list(files.items())[:count])), options=OPTIONS, hooks=hooks)
    assert calls == [("before", 2), ("verify", 2), ("verify", 3)]


def test_a_prerequisite_that_is_missing_leaves_no_row(database: Target) -> None:
    """What `before` raises stops the run; it is asked again the next time."""

    def before(_connection: psycopg.Connection[object], _plan: Plan) -> None:
        raise ChatdbError("no users")

    migrations = filename.parse_all(tables(1))
    for _ in range(2):
        with pytest.raises(ChatdbError, match="no users"):
            runner.apply(database, migrations, options=OPTIONS, hooks=Hooks(before=before))
    assert (tables_of(database), runner.status(database, migrations).rows) == ([], ())


def test_progress_is_told_step_by_step(database: Target) -> None:
    """Each step as it is begun or made, without user or password."""
    events: list[Event] = []
    runner.apply(database, filename.parse_all(tables(1)), options=OPTIONS, report=events.append)
    assert [event.text for event in events] == [
        "1 migrations loaded",
        f"connecting to {database.label}",
        f"connected to {database.label}",
        "executing 0001_table_1",
        "applied 0001_table_1",
        "verifying version 0001",
        "version 0001 is as it must be",
        "connection closed",
    ]
    assert not any(database.password in repr(event) for event in events)


def test_a_thousand_rows_are_read_in_their_order(database: Target) -> None:
    """Rows come back as they were written, and their chain holds."""
    migrations = filename.parse_all(tables(1))
    runner.apply(database, migrations, options=OPTIONS)
    with connect(database) as connection:
        for direction in ("down", "up") * 500:
            connection.execute(ledger.append(migrations[0], direction))
        rows = ledger.read(connection)
    assert [row.sequence for row in rows] == list(range(1, 1002))
    assert all(row.chained_hash == row.expected_hash for row in rows)
    assert len({row.chained_hash for row in rows}) == 1001


def test_an_unreachable_server_is_waited_for_only_as_long_as_told(tmp_path: Path) -> None:
    """A sleeping database is tried again; then the error says what is known."""
    del tmp_path
    target = Target(host="127.0.0.1", port=1, database="none", user="none")
    kinds: list[str] = []
    with pytest.raises(ConnectionFailedError) as caught:
        runner.apply(
            target,
            filename.parse_all(tables(1)),
            options=Options(connect_wait_s=0.5),
            report=lambda event: kinds.append(event.kind),
        )
    assert caught.value.message == "cannot connect to 127.0.0.1:1/none as none"
    assert kinds.count("retrying") >= 1
